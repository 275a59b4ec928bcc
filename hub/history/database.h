#pragma once
// sync.db as a database: opening, schema, and damage. The first call that finds that it is damaged
// or lacks a table copies it to sync.db.broken, replacing an older one, and starts a new database.
// Anything else at its path, a directory for example, is left alone, and the error says how to fix
// it.

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace pibrain {

class Database {
 public:
  // Receives a message about a damaged database; called in any thread that uses it, at most once.
  using Warn = std::function<void(const std::string&)>;

  // Opens or creates `directory`/sync.db (directory 0700, file 0600).
  static absl::StatusOr<std::unique_ptr<Database>> open(const std::string& directory, Warn warn);
  // Opens an existing sync.db as open() does; returns null if there is no sync.db.
  static absl::StatusOr<std::unique_ptr<Database>> openExisting(const std::string& directory,
                                                                Warn warn);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Bytes to be bound as a BLOB.
  struct Blob {
    const std::string& bytes;
  };

  // A prepared statement and its current row. Columns count from 0.
  class Statement {
   public:
    Statement(Database& database, const char* sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    // Binds the values in order, and calls `onRow` for each row until it returns false.
    template <typename OnRow, typename... Values>
    absl::Status each(const OnRow& onRow, const Values&... values) {
      if (!begin()) return database_.error();
      (bind(values), ...);
      while (step()) {
        if (!onRow(*this)) return absl::OkStatus();
      }
      return ended_ ? absl::OkStatus() : database_.error();
    }

    template <typename... Values>
    absl::Status run(const Values&... values) {
      return each([](auto&) { return true; }, values...);
    }

    int64_t integer(int column);
    std::string text(int column);

   private:
    bool begin();
    bool step();
    void bind(int64_t value);
    void bind(const std::string& text);
    void bind(const Blob& blob);
    void bind(const std::vector<std::string>& texts) {
      for (auto& text : texts) bind(text);
    }

    Database& database_;
    sqlite3_stmt* statement_ = nullptr;  // null: preparing failed
    int bound_ = 0;
    bool ended_ = false;  // the last row was read
  };

  // Does `work` under the lock; if it finds damage, does it again with a new database. `work` must
  // call nothing but Statement's methods, inTransaction() and lastRowId().
  template <typename Work>
  auto use(const Work& work) {
    std::lock_guard lock(mutex_);
    auto result = work();
    if (damaged_ && beginAnew().ok()) result = work();
    return result;
  }

  // Does all of `work` in one transaction.
  absl::Status inTransaction(const std::function<absl::Status()>& work);
  int64_t lastRowId() const;

  // These take the lock. run() executes a statement without rows; first() returns what `read` makes
  // of the first row, or nullopt after an error or without a row.
  template <typename... Values>
  absl::Status run(const char* sql, const Values&... values) {
    return use([&]() { return Statement(*this, sql).run(values...); });
  }
  template <typename Read, typename... Values>
  auto first(const char* sql, const Read& read, const Values&... values) {
    return use([&]() {
      std::optional<std::invoke_result_t<Read, Statement&>> result;
      auto status = Statement(*this, sql)
                        .each(
                            [&](Statement& row) {
                              result = read(row);
                              return false;
                            },
                            values...);
      return status.ok() ? result : std::nullopt;
    });
  }

 private:
  Database(const std::string& directory, Warn warn)
      : directory_(directory), warn_(std::move(warn)) {}

  // All of the following must be called under the lock.
  absl::Status connect();
  absl::Status beginAnew();
  void warnOfLoss() const;
  void keepLostLog() const;
  std::string whyNotOpened() const;
  absl::Status migrate();   // to SCHEMA_VERSION
  int64_t schemaVersion();  // 0: no schema yet
  absl::Status execute(const char* sql);
  int noted(int result);  // returns `result`, and notes damage that it reports
  absl::Status error();

  const std::string directory_;
  const Warn warn_;
  std::mutex mutex_;  // guards all that follows
  sqlite3* db_ = nullptr;
  bool damaged_ = false;    // a call reported damage
  bool begunAnew_ = false;  // beginAnew() was called; it tries only once
};

}  // namespace pibrain
