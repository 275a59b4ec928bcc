#include "hub/history/store.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
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

#include "common/text/text.h"
#include "hub/base/user-files.h"

namespace pibrain {

namespace {

// The errno for which SQLite cannot open or write its file: it says only that it could not. 0: it
// is another error.
int errnoOf(sqlite3* db, const std::string& path) {
  auto writing = [](const std::string& at) { return access(at.c_str(), W_OK) == 0 ? 0 : errno; };
  int code = sqlite3_errcode(db) & 0xff;
  if (code == SQLITE_READONLY) return writing(path);
  if (code != SQLITE_CANTOPEN) return 0;
  int why = sqlite3_system_errno(db);
  // Its second attempt, read-only, has another reason.
  return why == ENOENT ? writing(nearestTo(path).path) : why;
}

constexpr int64_t SCHEMA_VERSION = 7;  // as SCHEMA sets it
// Before version 3, runs did not say by how much files grew.
constexpr int64_t HAS_RUNS = 1, HAS_BYTES_GROWN = 3;
constexpr char ADD_BYTES_GROWN[] =
    "ALTER TABLE runs ADD COLUMN bytes_grown INTEGER NOT NULL DEFAULT 0";
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
    bytes_grown INTEGER NOT NULL
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
  PRAGMA user_version = 7;
)";

// What the runs have had since version 1, and what all have of this version.
constexpr char OLDEST_COLUMNS[] =
    "SELECT id, spoke, started_ns, finished_ns, ok, error, files, new, grown, rewritten, moved,"
    " touched, deleted, kept, deferred, failed, bytes_literal, wire_up, wire_down FROM runs";
constexpr const char* COLUMNS[] = {"SELECT bytes_grown FROM runs",
                                   "SELECT spoke, path FROM kept",
                                   "SELECT spoke, address, port, config_state FROM reached",
                                   "SELECT spoke, version, sandbox, at_ns FROM contacts",
                                   "SELECT spoke, path FROM failed",
                                   "SELECT spoke, identity, traits FROM filesystems",
                                   "SELECT spoke, server, reason, at_ns FROM not_libssh2",
                                   "SELECT name, state, version FROM programs"};

// A run a minute is remembered for a week, one every quarter of an hour for three months. What is
// older is dropped now and then.
constexpr int64_t MAX_RUNS = 10'000;
constexpr int64_t FORGET_EVERY = 256;

// A server may be set up anew. In ns.
constexpr int64_t KNOWN_FOR = int64_t(7) * 86400 * 1'000'000'000;

constexpr int BUSY_TIMEOUT = 5000;  // ms
// Of what an agent says of itself; more is not worth keeping, nor is there room for it in a table.
constexpr size_t MAX_SAID = 200;

std::string pathIn(const std::string& directory) { return directory + "/sync.db"; }

bool tellsOfDamage(int result) {
  int primary = result & 0xff;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

// A connection for the time that it takes to look at a database.
class Connection {
 public:
  explicit Connection(const std::string& path) {
    int result = sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr);
    if (result == SQLITE_OK) sqlite3_busy_timeout(db_, BUSY_TIMEOUT);
  }
  ~Connection() { sqlite3_close_v2(db_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Looks at every page. What cannot be found out, because it is locked, say, is no damage.
  bool damaged() {
    std::string verdict;
    auto note = [](void* out, int, char** columns, char**) {
      *static_cast<std::string*>(out) = columns[0];
      return 0;
    };
    int result = sqlite3_exec(db_, "PRAGMA integrity_check(1)", note, &verdict, nullptr);
    return tellsOfDamage(result) || (result == SQLITE_OK && verdict != "ok");
  }

  // Whether it opens, and lacks what a database of its version has. Of a later version than ours
  // nobody here knows.
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

  // Empties the database in its place, which SQLite does under its own lock: a new file in the
  // place of one that others have open would get their journals.
  int empty() {
    sqlite3_db_config(db_, SQLITE_DBCONFIG_RESET_DATABASE, 1, nullptr);
    int result = sqlite3_exec(db_, "VACUUM", nullptr, nullptr, nullptr);
    sqlite3_db_config(db_, SQLITE_DBCONFIG_RESET_DATABASE, 0, nullptr);
    return result;
  }

 private:
  // Whether it has all that this statement names. What cannot be found out is taken to be there.
  bool knows(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    int result = sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr);
    sqlite3_finalize(statement);
    return (result & 0xff) != SQLITE_ERROR;
  }

  sqlite3* db_ = nullptr;
};

// Copies a database, with what SQLite has beside it, to the same name with `suffix`.
std::error_code copyAside(const std::string& path, const std::string& suffix) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (auto* beside : {"", "-journal", "-wal"}) {
    auto from = path + beside, to = path + suffix + beside;
    // The older one's must not seem to be this one's.
    fs::remove(to, error);
    if (!error && fs::exists(from, error)) fs::copy_file(from, to, error);
    if (error) return error;
  }
  return error;
}

}  // namespace

// A prepared statement; binds count from 1, columns from 0.
class Store::Statement {
 public:
  Statement(Store& store, const char* sql) : store_(store) {
    int result = sqlite3_prepare_v2(store.db_, sql, -1, &statement_, nullptr);
    if (store.noted(result) != SQLITE_OK) statement_ = nullptr;
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  bool prepared() const { return statement_ != nullptr; }
  void bind(int64_t value) { sqlite3_bind_int64(statement_, ++bound_, value); }
  void bind(const std::string& text) {
    sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
  }
  void bindBlob(const std::string& bytes) {
    sqlite3_bind_blob64(statement_, ++bound_, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  }
  int step() { return store_.noted(sqlite3_step(statement_)); }
  void reset() {
    sqlite3_reset(statement_);
    bound_ = 0;
  }
  int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
  std::string text(int column) {
    auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return bytes == nullptr ? ""
                            : std::string(bytes, size_t(sqlite3_column_bytes(statement_, column)));
  }

 private:
  Store& store_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

template <typename Work>
auto Store::use(const Work& work) {
  std::lock_guard lock(mutex_);
  auto result = work();
  if (damaged_ && beginAnew().ok()) result = work();
  return result;
}

absl::StatusOr<std::unique_ptr<Store>> Store::open(const std::string& directory, Warn warn) {
  auto made = makeDirectories(directory);
  if (!made.ok()) return made;
  std::unique_ptr<Store> store(new Store(directory, std::move(warn)));
  auto status = store->use([&]() { return store->connect(); });
  if (status.ok()) return store;
  bool cannotOpen = (sqlite3_errcode(store->db_) & 0xff) == SQLITE_CANTOPEN;
  return absl::UnavailableError(
      absl::StrCat(status.message(), cannotOpen ? store->whyNotOpened() : ""));
}

absl::StatusOr<std::unique_ptr<Store>> Store::openExisting(const std::string& directory,
                                                           Warn warn) {
  struct stat st;
  if (lstat(pathIn(directory).c_str(), &st) != 0 && errno == ENOENT) return nullptr;
  return open(directory, std::move(warn));
}

absl::Status Store::connect() {
  sqlite3_close_v2(db_);
  db_ = nullptr;
  keepLostLog();
  int result = noted(
      sqlite3_open_v2(pathIn(directory_).c_str(), &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr));
  if (result != SQLITE_OK) return error();
  sqlite3_busy_timeout(db_, BUSY_TIMEOUT);
  // A lost last record is a lost line of history; waiting for the disk at each run is not worth it.
  auto status = execute("PRAGMA synchronous = OFF;");
  // Only a new or older database needs the schema, which costs a write.
  if (status.ok() && schemaVersion() < SCHEMA_VERSION) status = migrate();
  return status;
}

absl::Status Store::beginAnew() {
  if (begunAnew_) return error();
  begunAnew_ = true;
  auto path = pathIn(directory_);
  // Of several processes one does it. The others then find no damage, and keep what is new.
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
      why = absl::StrCat(escapeForTerminal(path), " is damaged, and cannot be begun anew: ", why,
                         ". Move it away, and the next run makes a new one");
      if (warn_) warn_(why);
      return absl::UnavailableError(why);
    }
    warnOfLoss();
  }
  damaged_ = false;
  return connect();
}

void Store::warnOfLoss() const {
  if (!warn_) return;
  warn_(absl::StrCat(
      "sync.db was damaged, so a new one was begun. The history of runs so far is lost, and which "
      "files are kept that a spoke no longer has, which the next run finds out; no session is. The "
      "damaged one is ",
      escapeForTerminal(pathIn(directory_)), ".broken"));
}

// SQLite takes an empty database for a new one, and removes the log beside it, in which all may be
// that it held.
void Store::keepLostLog() const {
  auto path = pathIn(directory_), log = path + "-wal";
  struct stat database, beside;
  if (stat(path.c_str(), &database) != 0 || database.st_size > 0 ||
      stat(log.c_str(), &beside) != 0 || beside.st_size == 0) {
    return;
  }
  if (!copyAside(path, ".broken")) warnOfLoss();
}

// What keeps sync.db from being opened that a person can put right; empty if nothing is known.
std::string Store::whyNotOpened() const {
  auto path = pathIn(directory_);
  auto quoted = shellQuote(escapeForTerminal(path));
  struct stat itself, target;
  if (lstat(path.c_str(), &itself) != 0) return "";
  bool there = stat(path.c_str(), &target) == 0;
  if (!there && S_ISLNK(itself.st_mode)) {
    return absl::StrCat(
        ". It is a symlink, and what it names is not there: make or mount that, or ",
        "remove the symlink, and the next run makes a new one: 'rm ", quoted, "'");
  }
  if (there && !S_ISREG(target.st_mode)) {
    return absl::StrCat(". It is no file. Move it away, and the next run makes a new one: 'mv ",
                        quoted, " ", quoted, ".old'");
  }
  return absl::StrCat(". Check its owner and mode with 'ls -l ", quoted, "'");
}

absl::Status Store::migrate() {
  auto status = execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  // Another process may have been faster.
  auto version = schemaVersion();
  if (version >= HAS_RUNS && version < HAS_BYTES_GROWN) status = execute(ADD_BYTES_GROWN);
  if (status.ok() && version < SCHEMA_VERSION) status = execute(SCHEMA);
  auto ended = execute(status.ok() ? "COMMIT" : "ROLLBACK");
  return status.ok() ? ended : status;
}

Store::~Store() { sqlite3_close_v2(db_); }

absl::Status Store::recordRun(const SpokeReport& report) {
  return use([&]() -> absl::Status {
    Statement insert(
        *this,
        "INSERT INTO runs (spoke, started_ns, finished_ns, ok, error, files, new, grown,"
        " rewritten, moved, touched, deleted, kept, deferred, failed, bytes_literal,"
        " wire_up, wire_down, bytes_grown)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    if (!insert.prepared()) return error();
    insert.bind(report.name);
    insert.bind(report.started);
    insert.bind(report.finished);
    insert.bind(int64_t(report.outcome == Outcome::OK));
    insert.bind(report.error);
    auto& counts = report.counts;
    for (uint32_t count :
         {counts.files, counts.created, counts.grown, counts.rewritten, counts.moved,
          counts.touched, counts.deleted, counts.kept, counts.deferred, counts.failed}) {
      insert.bind(int64_t(count));
    }
    insert.bind(int64_t(report.bytesLiteral));
    insert.bind(int64_t(report.wire.up));
    insert.bind(int64_t(report.wire.down));
    insert.bind(int64_t(report.bytesGrown));
    if (insert.step() != SQLITE_DONE) return error();
    auto id = sqlite3_last_insert_rowid(db_);
    if (!report.agentVersion.empty()) {
      auto status = putContact(report.name, {report.agentVersion, report.sandbox, report.finished});
      if (!status.ok()) return status;
    }
    return id % FORGET_EVERY == 0 ? forgetOldRuns() : absl::OkStatus();
  });
}

absl::Status Store::putContact(const std::string& spoke, const Contact& contact) {
  Statement insert(
      *this,
      "INSERT OR REPLACE INTO contacts (spoke, version, sandbox, at_ns) VALUES (?, ?, ?, ?)");
  if (!insert.prepared()) return error();
  insert.bind(spoke);
  insert.bind(elideMiddle(contact.version, MAX_SAID));
  insert.bind(elideMiddle(contact.sandbox, MAX_SAID));
  insert.bind(contact.at);
  return insert.step() == SQLITE_DONE ? absl::OkStatus() : error();
}

absl::Status Store::setLastContact(const std::string& spoke, const Contact& contact) {
  return use([&]() -> absl::Status { return putContact(spoke, contact); });
}

std::optional<Store::Contact> Store::lastContact(const std::string& spoke) {
  return use([&]() -> std::optional<Contact> {
    Statement select(*this, "SELECT version, sandbox, at_ns FROM contacts WHERE spoke = ?");
    if (!select.prepared()) return std::nullopt;
    select.bind(spoke);
    if (select.step() != SQLITE_ROW) return std::nullopt;
    return Contact{select.text(0), select.text(1), select.integer(2)};
  });
}

absl::Status Store::forgetSpoke(const std::string& spoke) {
  return use([&]() -> absl::Status {
    for (auto* sql :
         {"DELETE FROM kept WHERE spoke = ?", "DELETE FROM reached WHERE spoke = ?",
          "DELETE FROM contacts WHERE spoke = ?", "DELETE FROM failed WHERE spoke = ?",
          "DELETE FROM filesystems WHERE spoke = ?", "DELETE FROM not_libssh2 WHERE spoke = ?"}) {
      Statement forget(*this, sql);
      if (!forget.prepared()) return error();
      forget.bind(spoke);
      if (forget.step() != SQLITE_DONE) return error();
    }
    return absl::OkStatus();
  });
}

absl::Status Store::forgetOldRuns() {
  std::vector<std::string> spokes;
  {
    Statement all(*this, "SELECT DISTINCT spoke FROM runs");
    if (!all.prepared()) return error();
    int result;
    while ((result = all.step()) == SQLITE_ROW) spokes.push_back(all.text(0));
    if (result != SQLITE_DONE) return error();
  }
  Statement forget(
      *this,
      "DELETE FROM runs WHERE spoke = ?1"
      " AND id <= (SELECT id FROM runs WHERE spoke = ?1 ORDER BY id DESC"
      "            LIMIT 1 OFFSET ?2)"
      " AND id <> (SELECT coalesce(max(id), 0) FROM runs WHERE spoke = ?1 AND ok = 1)");
  if (!forget.prepared()) return error();
  for (auto& spoke : spokes) {
    forget.reset();
    forget.bind(spoke);
    forget.bind(MAX_RUNS);
    if (forget.step() != SQLITE_DONE) return error();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SpokeReport>> Store::history(const std::vector<std::string>& spokes,
                                                        uint32_t limit) {
  return use([&]() -> absl::StatusOr<std::vector<SpokeReport>> {
    std::vector<std::string> marks(spokes.size(), "?");
    auto sql = absl::StrCat(
        "SELECT spoke, started_ns, finished_ns, ok, error, files, new, grown, rewritten, moved,"
        " touched, deleted, kept, deferred, failed, bytes_literal, wire_up, wire_down, bytes_grown"
        " FROM runs ",
        spokes.empty() ? "" : absl::StrCat("WHERE spoke IN (", absl::StrJoin(marks, ","), ") "),
        "ORDER BY id DESC LIMIT ?");
    Statement select(*this, sql.c_str());
    if (!select.prepared()) return error();
    for (auto& spoke : spokes) select.bind(spoke);
    select.bind(limit);
    std::vector<SpokeReport> runs;
    int result;
    while ((result = select.step()) == SQLITE_ROW) {
      SpokeReport run;
      run.name = select.text(0);
      run.started = select.integer(1);
      run.finished = select.integer(2);
      run.outcome = select.integer(3) != 0 ? Outcome::OK : Outcome::FAILED;
      run.error = select.text(4);
      auto& counts = run.counts;
      int column = 5;
      for (uint32_t* count :
           {&counts.files, &counts.created, &counts.grown, &counts.rewritten, &counts.moved,
            &counts.touched, &counts.deleted, &counts.kept, &counts.deferred, &counts.failed}) {
        *count = uint32_t(select.integer(column++));
      }
      run.bytesLiteral = uint64_t(select.integer(15));
      run.wire = {uint64_t(select.integer(16)), uint64_t(select.integer(17))};
      run.bytesGrown = uint64_t(select.integer(18));
      runs.push_back(std::move(run));
    }
    if (result != SQLITE_DONE) return error();
    return runs;
  });
}

absl::StatusOr<Store::LastRuns> Store::lastRuns(const std::string& spoke) {
  return use([&]() -> absl::StatusOr<LastRuns> {
    LastRuns result;
    auto status = absl::OkStatus();
    // The order is that of the ids: the clock may have been ahead for a while.
    Statement good(
        *this,
        "SELECT finished_ns, started_ns FROM runs WHERE spoke = ? AND ok = 1 ORDER BY id "
        "DESC LIMIT 1");
    Statement last(*this,
                   "SELECT ok, error, started_ns, finished_ns, wire_up + wire_down, files FROM runs"
                   " WHERE spoke = ? ORDER BY id DESC LIMIT 1");
    Statement failed(*this, "SELECT count(*) FROM runs WHERE spoke = ? AND ok = 0");
    if (!good.prepared() || !last.prepared() || !failed.prepared()) return error();
    auto found = [&](Statement& select) {
      select.bind(spoke);
      int step = select.step();
      if (step != SQLITE_ROW && step != SQLITE_DONE) status = error();
      return step == SQLITE_ROW;
    };
    if (found(good) && good.integer(0) != 0) {
      result.lastGood = good.integer(0);
      result.lastGoodStarted = good.integer(1);
    }
    if (found(last)) {
      if (last.integer(0) == 0) result.lastError = last.text(1);
      result.last = LastRun{last.integer(2), last.integer(3), uint64_t(last.integer(4)),
                            uint32_t(last.integer(5))};
    }
    if (found(failed)) result.failed = uint64_t(failed.integer(0));
    if (!status.ok()) return status;
    return result;
  });
}

std::optional<Endpoint> Store::lastEndpoint(const std::string& spoke) {
  return use([&]() -> std::optional<Endpoint> {
    Statement select(*this, "SELECT address, port, config_state FROM reached WHERE spoke = ?");
    if (!select.prepared()) return std::nullopt;
    select.bind(spoke);
    if (select.step() != SQLITE_ROW) return std::nullopt;
    return Endpoint{select.text(0), uint16_t(select.integer(1)), select.text(2)};
  });
}

absl::Status Store::setLastEndpoint(const std::string& spoke,
                                    const std::optional<Endpoint>& endpoint) {
  return use([&]() -> absl::Status {
    if (!endpoint) {
      Statement forget(*this, "DELETE FROM reached WHERE spoke = ?");
      if (!forget.prepared()) return error();
      forget.bind(spoke);
      return forget.step() == SQLITE_DONE ? absl::OkStatus() : error();
    }
    Statement insert(*this,
                     "INSERT OR REPLACE INTO reached (spoke, address, port, config_state) VALUES "
                     "(?, ?, ?, ?)");
    if (!insert.prepared()) return error();
    insert.bind(spoke);
    insert.bind(endpoint->address);
    insert.bind(int64_t(endpoint->port));
    insert.bind(endpoint->configState);
    return insert.step() == SQLITE_DONE ? absl::OkStatus() : error();
  });
}

std::optional<std::string> Store::whyNotLibssh2(const std::string& spoke, const std::string& server,
                                                int64_t now) {
  return use([&]() -> std::optional<std::string> {
    Statement select(
        *this,
        "SELECT reason FROM not_libssh2 WHERE spoke = ? AND server = ? AND at_ns BETWEEN "
        "? AND ?");
    if (!select.prepared()) return std::nullopt;
    select.bind(spoke);
    select.bind(server);
    select.bind(now - KNOWN_FOR);
    select.bind(now + KNOWN_FOR);
    if (select.step() != SQLITE_ROW) return std::nullopt;
    return select.text(0);
  });
}

absl::Status Store::setWhyNotLibssh2(const std::string& spoke, const std::string& server,
                                     const std::string& reason, int64_t now) {
  return use([&]() -> absl::Status {
    Statement insert(*this,
                     "INSERT OR REPLACE INTO not_libssh2 (spoke, server, reason, at_ns) VALUES (?, "
                     "?, ?, ?)");
    if (!insert.prepared()) return error();
    insert.bind(spoke);
    insert.bind(server);
    insert.bind(reason);
    insert.bind(now);
    return insert.step() == SQLITE_DONE ? absl::OkStatus() : error();
  });
}

std::optional<Store::ProgramVersion> Store::programVersion(const std::string& name) {
  return use([&]() -> std::optional<ProgramVersion> {
    Statement select(*this, "SELECT state, version FROM programs WHERE name = ?");
    if (!select.prepared()) return std::nullopt;
    select.bind(name);
    if (select.step() != SQLITE_ROW) return std::nullopt;
    return ProgramVersion{select.text(0), select.text(1)};
  });
}

absl::Status Store::setProgramVersion(const std::string& name, const ProgramVersion& program) {
  return use([&]() -> absl::Status {
    Statement insert(*this,
                     "INSERT OR REPLACE INTO programs (name, state, version) VALUES (?, ?, ?)");
    if (!insert.prepared()) return error();
    insert.bind(name);
    insert.bind(program.state);
    insert.bind(program.version);
    return insert.step() == SQLITE_DONE ? absl::OkStatus() : error();
  });
}

absl::StatusOr<std::vector<std::string>> Store::keptFiles(const std::string& spoke) {
  return paths("kept", spoke);
}

absl::Status Store::setKeptFiles(const std::string& spoke, const std::vector<std::string>& kept) {
  return setPaths("kept", spoke, kept);
}

absl::StatusOr<std::vector<std::string>> Store::failedFiles(const std::string& spoke) {
  return paths("failed", spoke);
}

absl::Status Store::setFailedFiles(const std::string& spoke,
                                   const std::vector<std::string>& failed) {
  return setPaths("failed", spoke, failed);
}

std::optional<std::string> Store::filesystemTraits(const std::string& spoke,
                                                   const std::string& identity) {
  return use([&]() -> std::optional<std::string> {
    Statement select(*this, "SELECT traits FROM filesystems WHERE spoke = ? AND identity = ?");
    if (!select.prepared()) return std::nullopt;
    select.bind(spoke);
    select.bind(identity);
    if (select.step() != SQLITE_ROW) return std::nullopt;
    return select.text(0);
  });
}

absl::Status Store::setFilesystemTraits(const std::string& spoke, const std::string& identity,
                                        const std::string& traits) {
  return use([&]() -> absl::Status {
    Statement insert(
        *this, "INSERT OR REPLACE INTO filesystems (spoke, identity, traits) VALUES (?, ?, ?)");
    if (!insert.prepared()) return error();
    insert.bind(spoke);
    insert.bind(identity);
    insert.bind(traits);
    return insert.step() == SQLITE_DONE ? absl::OkStatus() : error();
  });
}

absl::StatusOr<std::vector<std::string>> Store::paths(const char* table, const std::string& spoke) {
  return use([&]() -> absl::StatusOr<std::vector<std::string>> {
    Statement select(*this, absl::StrCat("SELECT path FROM ", table, " WHERE spoke = ?").c_str());
    if (!select.prepared()) return error();
    select.bind(spoke);
    std::vector<std::string> paths;
    int result;
    while ((result = select.step()) == SQLITE_ROW) paths.push_back(select.text(0));
    if (result != SQLITE_DONE) return error();
    return paths;
  });
}

absl::Status Store::setPaths(const char* table, const std::string& spoke,
                             const std::vector<std::string>& paths) {
  return use([&]() -> absl::Status {
    auto status = execute("BEGIN IMMEDIATE");
    if (!status.ok()) return status;
    {
      Statement clear(*this, absl::StrCat("DELETE FROM ", table, " WHERE spoke = ?").c_str());
      Statement insert(*this,
                       absl::StrCat("INSERT INTO ", table, " (spoke, path) VALUES (?, ?)").c_str());
      bool good = clear.prepared() && insert.prepared();
      if (good) {
        clear.bind(spoke);
        good = clear.step() == SQLITE_DONE;
      }
      for (size_t i = 0; good && i < paths.size(); ++i) {
        insert.reset();
        insert.bind(spoke);
        insert.bindBlob(paths[i]);
        good = insert.step() == SQLITE_DONE;
      }
      if (!good) status = error();
    }
    auto ended = execute(status.ok() ? "COMMIT" : "ROLLBACK");
    return status.ok() ? ended : status;
  });
}

int Store::noted(int result) {
  // What is asked is always the same and right: it is the database that lacks what is asked for.
  if (tellsOfDamage(result) || (result & 0xff) == SQLITE_ERROR) damaged_ = true;
  return result;
}

int64_t Store::schemaVersion() {
  Statement query(*this, "PRAGMA user_version");
  return query.prepared() && query.step() == SQLITE_ROW ? query.integer(0) : 0;
}

absl::Status Store::execute(const char* sql) {
  int result = noted(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr));
  return result == SQLITE_OK ? absl::OkStatus() : error();
}

absl::Status Store::error() {
  auto path = pathIn(directory_);
  int why = db_ == nullptr ? 0 : errnoOf(db_, path);
  auto what =
      why != 0
          ? absl::StrCat("sync.db cannot be opened: ", explainObstacle(nearestTo(path).path, why))
          : absl::StrCat("sync.db: ", db_ == nullptr ? "out of memory" : sqlite3_errmsg(db_));
  bool lacks = db_ != nullptr && (sqlite3_errcode(db_) & 0xff) == SQLITE_ERROR;
  if (lacks && schemaVersion() > SCHEMA_VERSION) {
    auto quoted = shellQuote(escapeForTerminal(pathIn(directory_)));
    absl::StrAppend(&what, ". A newer pi-brain made it: use that one, or move the database away, ",
                    "and the next run makes a new one: 'mv ", quoted, " ", quoted, ".newer'");
  }
  return absl::UnavailableError(what);
}

}  // namespace pibrain
