#include "hub/history/database.h"

#include <absl/strings/str_cat.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "common/text/escape.h"
#include "common/text/shell-quote.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

constexpr int64_t SCHEMA_VERSION = 10;  // the version that SCHEMA sets
// The versions that introduced what migration needs. Before version 3, runs did not record by how
// much files grew.
constexpr int64_t HAS_RUNS = 1, HAS_BYTES_GROWN = 3, HAS_FAILURES = 8;
constexpr char ADD_BYTES_GROWN[] =
    "ALTER TABLE runs ADD COLUMN bytes_grown INTEGER NOT NULL DEFAULT 0";
// Holds the output of packed(). Before version 8, a failure was one line of text.
constexpr char ADD_FAILURE[] = "ALTER TABLE runs ADD COLUMN failure TEXT NOT NULL DEFAULT ''";
constexpr char SCHEMA[] = R"(
  CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY,
    spoke TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    finished_ns INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    error TEXT NOT NULL,
    files INTEGER NOT NULL,
    new INTEGER NOT NULL,
    grown INTEGER NOT NULL,
    rewritten INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    touched INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    deferred INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    bytes_literal INTEGER NOT NULL,
    wire_up INTEGER NOT NULL,
    wire_down INTEGER NOT NULL,
    bytes_grown INTEGER NOT NULL,
    failure TEXT NOT NULL DEFAULT ''
  );
  DROP INDEX IF EXISTS runs_by_spoke;
  CREATE INDEX IF NOT EXISTS runs_of_spoke ON runs (spoke);
  CREATE INDEX IF NOT EXISTS runs_of_spoke_by_outcome ON runs (spoke, ok);
  CREATE TABLE IF NOT EXISTS kept (
    spoke TEXT NOT NULL,
    path BLOB NOT NULL,
    PRIMARY KEY (spoke, path)
  ) WITHOUT ROWID;
  DROP TABLE IF EXISTS endpoints;
  CREATE TABLE IF NOT EXISTS reached (
    spoke TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    port INTEGER NOT NULL,
    config_state TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS contacts (
    spoke TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    sandbox TEXT NOT NULL,
    at_ns INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS failed (
    spoke TEXT NOT NULL,
    path BLOB NOT NULL,
    PRIMARY KEY (spoke, path)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS filesystems (
    spoke TEXT PRIMARY KEY,
    identity TEXT NOT NULL,
    traits TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS not_libssh2 (
    spoke TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_ns INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS programs (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    version TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS left_out (
    spoke TEXT NOT NULL,
    path BLOB NOT NULL,
    ours INTEGER NOT NULL,
    theirs INTEGER NOT NULL,
    patterns TEXT NOT NULL,
    PRIMARY KEY (spoke, path)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS live_hours (
    spoke TEXT NOT NULL,
    hour_ns INTEGER NOT NULL,
    started_ns INTEGER NOT NULL,
    finished_ns INTEGER NOT NULL,
    new INTEGER NOT NULL,
    grown INTEGER NOT NULL,
    rewritten INTEGER NOT NULL,
    moved INTEGER NOT NULL,
    bytes_literal INTEGER NOT NULL,
    bytes_grown INTEGER NOT NULL,
    wire_up INTEGER NOT NULL,
    wire_down INTEGER NOT NULL,
    PRIMARY KEY (spoke, hour_ns)
  ) WITHOUT ROWID;
  PRAGMA user_version = 10;
)";

// The columns that runs has had since version 1, and the other columns of this version.
constexpr char OLDEST_COLUMNS[] =
    "SELECT id, spoke, started_ns, finished_ns, ok, error, files, new, grown, rewritten, moved,"
    " touched, deleted, kept, deferred, failed, bytes_literal, wire_up, wire_down FROM runs";
constexpr const char* COLUMNS[] = {"SELECT bytes_grown, failure FROM runs",
                                   "SELECT spoke, path FROM kept",
                                   "SELECT spoke, address, port, config_state FROM reached",
                                   "SELECT spoke, version, sandbox, at_ns FROM contacts",
                                   "SELECT spoke, path FROM failed",
                                   "SELECT spoke, path, ours, theirs, patterns FROM left_out",
                                   "SELECT spoke, identity, traits FROM filesystems",
                                   "SELECT spoke, server, reason, at_ns FROM not_libssh2",
                                   "SELECT name, state, version FROM programs",
                                   "SELECT spoke, hour_ns, started_ns, finished_ns, new, grown,"
                                   " rewritten, moved, bytes_literal, bytes_grown, wire_up,"
                                   " wire_down FROM live_hours"};

constexpr int BUSY_TIMEOUT = 5000;  // ms

std::string pathIn(const std::string& directory) { return directory + "/sync.db"; }

bool tellsOfDamage(int result) {
  int primary = result & 0xff;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

// A short-lived connection for examining a database.
class Connection {
 public:
  explicit Connection(const std::string& path) {
    int result = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr);
    if (result == SQLITE_OK) sqlite3_busy_timeout(db_, BUSY_TIMEOUT);
  }
  ~Connection() { sqlite3_close_v2(db_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Checks every page. An unknown result, for example of a locked database, does not count as
  // damage.
  bool damaged() {
    std::string verdict;
    auto note = [](void* out, int, char** columns, char**) {
      *static_cast<std::string*>(out) = columns[0];
      return 0;
    };
    int result = sqlite3_exec(db_, "PRAGMA integrity_check(1)", note, &verdict, nullptr);
    return tellsOfDamage(result) || (result == SQLITE_OK && verdict != "ok");
  }

  // Returns whether it opens and lacks tables that its version must have. False for versions later
  // than SCHEMA_VERSION, whose tables are unknown.
  bool lacksTables() {
    int64_t version = 0;
    auto note = [](void* out, int, char** columns, char**) {
      *static_cast<int64_t*>(out) = atoll(columns[0]);
      return 0;
    };
    sqlite3_exec(db_, "PRAGMA user_version", note, &version, nullptr);
    if (version > SCHEMA_VERSION || (version < HAS_RUNS && !knows("SELECT 1 FROM runs"))) {
      return false;
    }
    if (!knows(OLDEST_COLUMNS)) return true;
    return version == SCHEMA_VERSION && !std::all_of(std::begin(COLUMNS), std::end(COLUMNS),
                                                     [&](auto* sql) { return knows(sql); });
  }

  // Empties the database in place, under SQLite's own lock: a new file at the path of one that
  // other processes have open would get their journals.
  int empty() {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_RESET_DATABASE, 1, nullptr);
    int result = sqlite3_exec(db_, "VACUUM", nullptr, nullptr, nullptr);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_RESET_DATABASE, 0, nullptr);
    return result;
  }

 private:
  // Returns whether all names in the statement exist; true if that is unknown.
  bool knows(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    int result = sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr);
    sqlite3_finalize(statement);
    return (result & 0xff) != SQLITE_ERROR;
  }

  sqlite3* db_ = nullptr;
};

// Copies a database, and SQLite's files beside it, to the same name with `suffix`.
std::error_code copyAside(const std::string& path, const std::string& suffix) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (auto* beside : {"", "-journal", "-wal"}) {
    auto from = path + beside, to = path + suffix + beside;
    // Files of an older copy must not be taken for this one's.
    fs::remove(to, error);
    if (!error && fs::exists(from, error)) fs::copy_file(from, to, error);
    if (error) return error;
  }
  return error;
}

// Returns the errno that made SQLite fail to open or write its file, which SQLite does not report.
// 0: another error.
int errnoOf(sqlite3* db, const std::string& path) {
  auto writing = [](const std::string& at) { return access(at.c_str(), W_OK) == 0 ? 0 : errno; };
  int code = sqlite3_errcode(db) & 0xff;
  if (code == SQLITE_READONLY) return writing(path);
  if (code != SQLITE_CANTOPEN) return 0;
  int why = sqlite3_system_errno(db);
  // SQLite's second attempt, read-only, replaces the reason.
  return why == ENOENT ? writing(nearestTo(path).path) : why;
}

}  // namespace

Database::Statement::Statement(Database& database, const char* sql) : database_(database) {
  int result = sqlite3_prepare_v2(database.db_, sql, -1, &statement_, nullptr);
  if (database.noted(result) != SQLITE_OK) statement_ = nullptr;
}

Database::Statement::~Statement() { sqlite3_finalize(statement_); }

bool Database::Statement::begin() {
  sqlite3_reset(statement_);
  bound_ = 0;
  ended_ = false;
  return statement_ != nullptr;
}

bool Database::Statement::step() {
  int result = database_.noted(sqlite3_step(statement_));
  ended_ = result == SQLITE_DONE;
  return result == SQLITE_ROW;
}

void Database::Statement::bind(int64_t value) { sqlite3_bind_int64(statement_, ++bound_, value); }

void Database::Statement::bind(const std::string& text) {
  sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                      SQLITE_UTF8);
}

void Database::Statement::bind(const Blob& blob) {
  sqlite3_bind_blob64(statement_, ++bound_, blob.bytes.data(), blob.bytes.size(), SQLITE_TRANSIENT);
}

int64_t Database::Statement::integer(int column) {
  return sqlite3_column_int64(statement_, column);
}

std::string Database::Statement::text(int column) {
  auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr ? ""
                          : std::string(bytes, size_t(sqlite3_column_bytes(statement_, column)));
}

absl::Status Database::inTransaction(const std::function<absl::Status()>& work) {
  auto status = execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  status = work();
  auto ended = execute(status.ok() ? "COMMIT" : "ROLLBACK");
  return status.ok() ? ended : status;
}

int64_t Database::lastRowId() const { return sqlite3_last_insert_rowid(db_); }

absl::StatusOr<std::unique_ptr<Database>> Database::open(const std::string& directory, Warn warn) {
  auto made = makeDirectories(directory);
  if (!made.ok()) return made;
  std::unique_ptr<Database> database(new Database(directory, std::move(warn)));
  auto status = database->use([&]() { return database->connect(); });
  if (status.ok()) return database;
  bool cannotOpen = (sqlite3_errcode(database->db_) & 0xff) == SQLITE_CANTOPEN;
  return absl::UnavailableError(
      absl::StrCat(status.message(), cannotOpen ? database->whyNotOpened() : ""));
}

absl::StatusOr<std::unique_ptr<Database>> Database::openExisting(const std::string& directory,
                                                                 Warn warn) {
  struct stat st;
  if (lstat(pathIn(directory).c_str(), &st) != 0 && errno == ENOENT) return nullptr;
  return open(directory, std::move(warn));
}

absl::Status Database::connect() {
  sqlite3_close_v2(db_);
  db_ = nullptr;
  keepLostLog();
  int result = noted(
      sqlite3_open_v2(pathIn(directory_).c_str(), &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr));
  if (result != SQLITE_OK) return error();
  sqlite3_busy_timeout(db_, BUSY_TIMEOUT);
  // A power cut may lose the last record. Preventing that is not worth waiting for the disk in each
  // run.
  auto status = execute("PRAGMA synchronous = OFF;");
  // The schema costs a write, so only a new or older database gets it.
  if (status.ok() && schemaVersion() < SCHEMA_VERSION) status = migrate();
  return status;
}

absl::Status Database::beginAnew() {
  if (begunAnew_) return error();
  begunAnew_ = true;
  auto path = pathIn(directory_);
  // Under the lock, one process does it; the others then find no damage, and keep the new database.
  kj::AutoCloseFd lock(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (lock.get() >= 0) flock(lock, LOCK_EX);
  Connection connection(path);
  if (connection.damaged() || connection.lacksTables()) {
    auto error = copyAside(path, ".broken");
    auto why = error ? error.message() : "";
    if (!error) {
      int result = connection.empty();
      if (result != SQLITE_OK) why = sqlite3_errstr(result);
    }
    if (!why.empty()) {
      why = absl::StrCat(escapeForTerminal(path), " is damaged and cannot be replaced: ", why,
                         ". Move it away, and the next run makes a new one");
      if (warn_) warn_(why);
      return absl::UnavailableError(why);
    }
    warnOfLoss();
  }
  damaged_ = false;
  return connect();
}

void Database::warnOfLoss() const {
  if (!warn_) return;
  warn_(
      absl::StrCat("sync.db was damaged and has been replaced by a new one. No session is lost, "
                   "but the history of runs is, and so is the list of files that spokes no longer "
                   "have, which the next run rebuilds. The damaged database is now ",
                   escapeForTerminal(pathIn(directory_)), ".broken"));
}

// SQLite takes an empty database for a new one and deletes the log beside it, although the log may
// hold all of its content.
void Database::keepLostLog() const {
  auto path = pathIn(directory_), log = path + "-wal";
  struct stat database, beside;
  if (stat(path.c_str(), &database) != 0 || database.st_size > 0 ||
      stat(log.c_str(), &beside) != 0 || beside.st_size == 0) {
    return;
  }
  if (!copyAside(path, ".broken")) warnOfLoss();
}

// Returns what keeps sync.db from being opened, and how to fix that; empty if it is unknown.
std::string Database::whyNotOpened() const {
  auto path = pathIn(directory_);
  auto quoted = shellQuote(escapeForTerminal(path));
  struct stat itself, target;
  if (lstat(path.c_str(), &itself) != 0) return "";
  bool there = stat(path.c_str(), &target) == 0;
  if (!there && S_ISLNK(itself.st_mode)) {
    return absl::StrCat(
        ". It is a symlink to something that does not exist: create or mount its target, or ",
        "remove the symlink, and the next run makes a new database: 'rm ", quoted, "'");
  }
  if (there && !S_ISREG(target.st_mode)) {
    return absl::StrCat(
        ". It is not a regular file. Move it away, and the next run makes a new one: 'mv ", quoted,
        " ", quoted, ".old'");
  }
  return absl::StrCat(". Check its owner and mode with 'ls -l ", quoted, "'");
}

absl::Status Database::migrate() {
  return inTransaction([&]() -> absl::Status {
    // Another process may have migrated it meanwhile.
    auto version = schemaVersion();
    auto status = absl::OkStatus();
    if (version >= HAS_RUNS && version < HAS_BYTES_GROWN) status = execute(ADD_BYTES_GROWN);
    if (status.ok() && version >= HAS_RUNS && version < HAS_FAILURES) status = execute(ADD_FAILURE);
    if (status.ok() && version < SCHEMA_VERSION) status = execute(SCHEMA);
    return status;
  });
}

Database::~Database() { sqlite3_close_v2(db_); }

int Database::noted(int result) {
  // The statements are fixed and correct, so an error means that the database lacks a table or
  // column.
  if (tellsOfDamage(result) || (result & 0xff) == SQLITE_ERROR) damaged_ = true;
  return result;
}

int64_t Database::schemaVersion() {
  int64_t version = 0;
  auto status = Statement(*this, "PRAGMA user_version").each([&](Statement& row) {
    version = row.integer(0);
    return true;
  });
  return status.ok() ? version : 0;
}

absl::Status Database::execute(const char* sql) {
  int result = noted(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr));
  return result == SQLITE_OK ? absl::OkStatus() : error();
}

absl::Status Database::error() {
  auto path = pathIn(directory_);
  int why = db_ == nullptr ? 0 : errnoOf(db_, path);
  auto what =
      why != 0
          ? absl::StrCat("sync.db cannot be opened: ", explainObstacle(nearestTo(path).path, why))
          : absl::StrCat("sync.db: ", db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_));
  bool lacks = db_ != nullptr && (sqlite3_errcode(db_) & 0xff) == SQLITE_ERROR;
  if (lacks && schemaVersion() > SCHEMA_VERSION) {
    auto quoted = shellQuote(escapeForTerminal(pathIn(directory_)));
    absl::StrAppend(
        &what,
        ". A newer version of pi-brain made it: use that version, or move the database away, ",
        "and the next run makes a new one: 'mv ", quoted, " ", quoted, ".newer'");
  }
  return absl::UnavailableError(what);
}

}  // namespace pibrain
