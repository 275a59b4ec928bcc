#pragma once
// sync.db as a database: opening it, its schema, and what is done about damage. One that is
// damaged, or lacks a table, is put aside as sync.db.broken, in the place of an older one, and
// begun anew, whichever call finds the damage. What stands in its place and is no file of ours is
// left alone, and said with what to do.

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
  // Told what became of a damaged database; called by any thread that uses it, at most once.
  using Warn = std::function<void(const std::string&)>;

  // Opens or creates `directory`/sync.db (directory 0700, file 0600).
  static absl::StatusOr<std::unique_ptr<Database>> open(const std::string& directory, Warn warn);
  // For those who only look: creates nothing, and is null if there is none.
  static absl::StatusOr<std::unique_ptr<Database>> openExisting(const std::string& directory,
                                                                Warn warn);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Bytes to be bound as they are, as a BLOB.
  struct Blob {
    const std::string& bytes;
  };

  // A prepared statement, and the row that it is at. Columns count from 0.
  class Statement {
   public:
    Statement(Database& database, const char* sql);
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    // Binds the values, in their order, and calls `onRow` for each row, which may return false to
    // leave the rest.
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
    sqlite3_stmt* statement_ = nullptr;  // null: it could not be prepared
    int bound_ = 0;
    bool ended_ = false;  // after its last row
  };

  // Does `work` under the lock; if it meets damage, once more with a new database. What may be
  // called meanwhile: a Statement's methods, and those that follow this one.
  template <typename Work>
  auto use(const Work& work) {
    std::lock_guard lock(mutex_);
    auto result = work();
    if (damaged_ && beginAnew().ok()) result = work();
    return result;
  }

  // All of `work` or nothing.
  absl::Status inTransaction(const std::function<absl::Status()>& work);
  int64_t lastRowId() const;

  // These take the lock: one statement that gives no rows, and what `read` makes of the first row
  // of one that does; nullopt if there is none, or it cannot be had.
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

  // All that follow are to be called under the lock.
  absl::Status connect();
  absl::Status beginAnew();
  void warnOfLoss() const;
  void keepLostLog() const;
  std::string whyNotOpened() const;
  absl::Status migrate();   // to the current schema
  int64_t schemaVersion();  // 0: none yet
  absl::Status execute(const char* sql);
  int noted(int result);  // the same, once damage that it tells of is remembered
  absl::Status error();

  const std::string directory_;
  const Warn warn_;
  std::mutex mutex_;  // for all that follows
  sqlite3* db_ = nullptr;
  bool damaged_ = false;    // a call has told so
  bool begunAnew_ = false;  // or tried to, which is done once
};

}  // namespace pibrain
