#include "hub/history/store.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <iterator>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/history/database.h"

namespace pibrain {

namespace {

using Statement = Database::Statement;

// Keeps a week of a spoke that runs every minute, three months of one that runs every quarter of an
// hour. Older runs are dropped now and then.
constexpr int64_t MAX_RUNS = 10'000;
constexpr int64_t FORGET_EVERY = 256;

// ns; after that the server may have been set up anew.
constexpr int64_t KNOWN_FOR = int64_t(7) * 86400 * 1'000'000'000;

// Limits what an agent says of itself: tables have no room for more.
constexpr size_t MAX_SAID = 200;

// The tables about a spoke, besides its runs.
constexpr const char* SPOKE_TABLES[] = {"kept",        "reached",     "contacts", "failed",
                                        "filesystems", "not_libssh2", "left_out"};

absl::Status forget(Database& database, const char* table, const std::string& spoke) {
  auto sql = absl::StrCat("DELETE FROM ", table, " WHERE spoke = ?");
  return Statement(database, sql.c_str()).run(spoke);
}

constexpr char PUT_CONTACT[] =
    "INSERT OR REPLACE INTO contacts (spoke, version, sandbox, at_ns) VALUES (?, ?, ?, ?)";

absl::Status forgetOldRuns(Database& database) {
  std::vector<std::string> spokes;
  auto status = Statement(database, "SELECT DISTINCT spoke FROM runs").each([&](auto& row) {
    spokes.push_back(row.text(0));
    return true;
  });
  Statement forget(
      database,
      "DELETE FROM runs WHERE spoke = ?1"
      " AND id <= (SELECT id FROM runs WHERE spoke = ?1 ORDER BY id DESC"
      "            LIMIT 1 OFFSET ?2)"
      " AND id <> (SELECT coalesce(max(id), 0) FROM runs WHERE spoke = ?1 AND ok = 1)");
  Statement forgetHours(
      database,
      "DELETE FROM live_hours WHERE spoke = ?1"
      " AND hour_ns <= (SELECT hour_ns FROM live_hours WHERE spoke = ?1 ORDER BY hour_ns DESC"
      "                 LIMIT 1 OFFSET ?2)");
  for (size_t i = 0; status.ok() && i < spokes.size(); ++i) {
    status = forget.run(spokes[i], MAX_RUNS);
    if (status.ok()) status = forgetHours.run(spokes[i], MAX_RUNS);
  }
  return status;
}

// A run of an older version has only the line.
std::optional<Failure> failureOf(const std::string& line, const std::string& pack) {
  if (line.empty()) return std::nullopt;
  auto failure = unpacked(pack);
  return failure ? failure : Failure(line);
}

SpokeReport runOf(Statement& row) {
  SpokeReport run;
  run.name = row.text(0);
  run.started = row.integer(1);
  run.finished = row.integer(2);
  run.outcome = row.integer(3) != 0 ? Outcome::OK : Outcome::FAILED;
  run.failure = failureOf(row.text(4), row.text(19));
  auto& counts = run.counts;
  int column = 5;
  for (uint32_t* count :
       {&counts.files, &counts.created, &counts.grown, &counts.rewritten, &counts.moved,
        &counts.touched, &counts.deleted, &counts.kept, &counts.deferred, &counts.failed}) {
    *count = uint32_t(row.integer(column++));
  }
  run.bytesLiteral = uint64_t(row.integer(15));
  run.wire = {uint64_t(row.integer(16)), uint64_t(row.integer(17))};
  run.bytesGrown = uint64_t(row.integer(18));
  return run;
}

constexpr char RUN_COLUMNS[] =
    "SELECT spoke, started_ns, finished_ns, ok, error, files, new, grown, rewritten, moved,"
    " touched, deleted, kept, deferred, failed, bytes_literal, wire_up, wire_down, bytes_grown,"
    " failure";

constexpr char LIVE_HOUR_COLUMNS[] =
    "SELECT spoke, started_ns, finished_ns, new, grown, rewritten, moved, bytes_literal,"
    " bytes_grown, wire_up, wire_down";

SpokeReport liveHourOf(Statement& row) {
  SpokeReport hour;
  hour.liveHour = true;
  hour.name = row.text(0);
  hour.started = row.integer(1);
  hour.finished = row.integer(2);
  hour.counts.created = uint32_t(row.integer(3));
  hour.counts.grown = uint32_t(row.integer(4));
  hour.counts.rewritten = uint32_t(row.integer(5));
  hour.counts.moved = uint32_t(row.integer(6));
  hour.bytesLiteral = uint64_t(row.integer(7));
  hour.bytesGrown = uint64_t(row.integer(8));
  hour.wire = {uint64_t(row.integer(9)), uint64_t(row.integer(10))};
  return hour;
}

absl::Status reports(Database& database, const std::string& sql,
                     const std::vector<std::string>& spokes, uint32_t limit,
                     SpokeReport (*read)(Statement&), std::vector<SpokeReport>& out) {
  return Statement(database, sql.c_str())
      .each(
          [&](auto& row) {
            out.push_back(read(row));
            return true;
          },
          spokes, limit);
}

absl::StatusOr<std::vector<std::string>> paths(Database& database, const char* table,
                                               const std::string& spoke) {
  auto sql = absl::StrCat("SELECT path FROM ", table, " WHERE spoke = ?");
  return database.use([&]() -> absl::StatusOr<std::vector<std::string>> {
    std::vector<std::string> found;
    auto status = Statement(database, sql.c_str())
                      .each(
                          [&](auto& row) {
                            found.push_back(row.text(0));
                            return true;
                          },
                          spoke);
    if (!status.ok()) return status;
    return found;
  });
}

absl::Status setPaths(Database& database, const char* table, const std::string& spoke,
                      const std::vector<std::string>& paths) {
  auto clearing = absl::StrCat("DELETE FROM ", table, " WHERE spoke = ?");
  auto inserting = absl::StrCat("INSERT INTO ", table, " (spoke, path) VALUES (?, ?)");
  return database.use([&]() {
    return database.inTransaction([&]() {
      auto status = Statement(database, clearing.c_str()).run(spoke);
      Statement insert(database, inserting.c_str());
      for (size_t i = 0; status.ok() && i < paths.size(); ++i) {
        status = insert.run(spoke, Database::Blob{paths[i]});
      }
      return status;
    });
  });
}

}  // namespace

Store::Store(std::unique_ptr<Database> database) : database_(std::move(database)) {}
Store::~Store() = default;

absl::StatusOr<std::unique_ptr<Store>> Store::open(const std::string& directory, Warn warn) {
  auto database = Database::open(directory, std::move(warn));
  if (!database.ok()) return database.status();
  return std::unique_ptr<Store>(new Store(std::move(*database)));
}

absl::StatusOr<std::unique_ptr<Store>> Store::openExisting(const std::string& directory,
                                                           Warn warn) {
  auto database = Database::openExisting(directory, std::move(warn));
  if (!database.ok()) return database.status();
  if (*database == nullptr) return nullptr;
  return std::unique_ptr<Store>(new Store(std::move(*database)));
}

absl::Status Store::recordRun(const SpokeReport& report) {
  return database_->use([&]() -> absl::Status {
    Statement insert(
        *database_,
        "INSERT INTO runs (spoke, started_ns, finished_ns, ok, error, files, new, grown,"
        " rewritten, moved, touched, deleted, kept, deferred, failed, bytes_literal,"
        " wire_up, wire_down, bytes_grown, failure)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    auto& counts = report.counts;
    auto status = insert.run(
        report.name, report.started, report.finished, report.outcome == Outcome::OK, report.error(),
        counts.files, counts.created, counts.grown, counts.rewritten, counts.moved, counts.touched,
        counts.deleted, counts.kept, counts.deferred, counts.failed, int64_t(report.bytesLiteral),
        int64_t(report.wire.up), int64_t(report.wire.down), int64_t(report.bytesGrown),
        report.failure ? packed(*report.failure) : "");
    if (!status.ok()) return status;
    auto id = database_->lastRowId();
    if (!report.agentVersion.empty()) {
      status = Statement(*database_, PUT_CONTACT)
                   .run(report.name, elideMiddle(report.agentVersion, MAX_SAID),
                        elideMiddle(report.sandbox, MAX_SAID), report.finished);
      if (!status.ok()) return status;
    }
    return id % FORGET_EVERY == 0 ? forgetOldRuns(*database_) : absl::OkStatus();
  });
}

absl::Status Store::addToLiveHour(const SpokeReport& totals) {
  auto& counts = totals.counts;
  return database_->run(
      "INSERT INTO live_hours (spoke, hour_ns, started_ns, finished_ns, new, grown, rewritten, "
      "moved,"
      " bytes_literal, bytes_grown, wire_up, wire_down)"
      " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
      " ON CONFLICT (spoke, hour_ns) DO UPDATE SET finished_ns = excluded.finished_ns,"
      " new = new + excluded.new, grown = grown + excluded.grown,"
      " rewritten = rewritten + excluded.rewritten, moved = moved + excluded.moved,"
      " bytes_literal = bytes_literal + excluded.bytes_literal,"
      " bytes_grown = bytes_grown + excluded.bytes_grown,"
      " wire_up = wire_up + excluded.wire_up, wire_down = wire_down + excluded.wire_down",
      totals.name, hourOf(totals.started), totals.started, totals.finished, counts.created,
      counts.grown, counts.rewritten, counts.moved, int64_t(totals.bytesLiteral),
      int64_t(totals.bytesGrown), int64_t(totals.wire.up), int64_t(totals.wire.down));
}

absl::Status Store::setLastContact(const std::string& spoke, const Contact& contact) {
  return database_->run(PUT_CONTACT, spoke, elideMiddle(contact.version, MAX_SAID),
                        elideMiddle(contact.sandbox, MAX_SAID), contact.at);
}

std::optional<Store::Contact> Store::lastContact(const std::string& spoke) {
  return database_->first(
      "SELECT version, sandbox, at_ns FROM contacts WHERE spoke = ?",
      [](auto& row) {
        return Contact{row.text(0), row.text(1), row.integer(2)};
      },
      spoke);
}

absl::Status Store::renameSpoke(const std::string& from, const std::string& to) {
  return database_->use([&]() {
    return database_->inTransaction([&]() {
      auto status =
          Statement(*database_, "UPDATE runs SET spoke = ?2 WHERE spoke = ?1").run(from, to);
      if (status.ok()) {
        status =
            Statement(*database_, "UPDATE OR IGNORE live_hours SET spoke = ?2 WHERE spoke = ?1")
                .run(from, to);
      }
      for (auto* table : SPOKE_TABLES) {
        auto moving = absl::StrCat("UPDATE OR IGNORE ", table, " SET spoke = ?2 WHERE spoke = ?1");
        if (status.ok()) status = Statement(*database_, moving.c_str()).run(from, to);
        if (status.ok()) status = forget(*database_, table, from);
      }
      return status;
    });
  });
}

absl::Status Store::forgetSpoke(const std::string& spoke) {
  return database_->use([&]() {
    auto status = absl::OkStatus();
    for (auto* table : SPOKE_TABLES) {
      if (status.ok()) status = forget(*database_, table, spoke);
    }
    return status;
  });
}

absl::StatusOr<std::vector<SpokeReport>> Store::history(const std::vector<std::string>& spokes,
                                                        uint32_t limit) {
  std::vector<std::string> marks(spokes.size(), "?");
  auto where = spokes.empty() ? std::string()
                              : absl::StrCat(" WHERE spoke IN (", absl::StrJoin(marks, ","), ")");
  auto runs = absl::StrCat(RUN_COLUMNS, " FROM runs", where, " ORDER BY id DESC LIMIT ?");
  auto hours =
      absl::StrCat(LIVE_HOUR_COLUMNS, " FROM live_hours", where, " ORDER BY hour_ns DESC LIMIT ?");
  return database_->use([&]() -> absl::StatusOr<std::vector<SpokeReport>> {
    std::vector<SpokeReport> found[2], all;
    auto status = reports(*database_, runs, spokes, limit, runOf, found[0]);
    if (status.ok()) status = reports(*database_, hours, spokes, limit, liveHourOf, found[1]);
    if (!status.ok()) return status;
    std::merge(found[0].begin(), found[0].end(), found[1].begin(), found[1].end(),
               std::back_inserter(all),
               [](auto& one, auto& other) { return one.finished > other.finished; });
    all.resize(std::min<size_t>(all.size(), limit));
    return all;
  });
}

absl::StatusOr<Store::LastRuns> Store::lastRuns(const std::string& spoke) {
  return database_->use([&]() -> absl::StatusOr<LastRuns> {
    LastRuns result;
    // Sorted by id, since the clock may have been ahead for a while.
    Statement good(
        *database_,
        "SELECT finished_ns, started_ns FROM runs WHERE spoke = ? AND ok = 1 ORDER BY id "
        "DESC LIMIT 1");
    auto status = good.each(
        [&](auto& row) {
          if (row.integer(0) == 0) return false;
          result.lastGood = row.integer(0);
          result.lastGoodStarted = row.integer(1);
          return false;
        },
        spoke);
    if (!status.ok()) return status;
    Statement last(*database_,
                   "SELECT ok, error, started_ns, finished_ns, wire_up + wire_down, files, failure"
                   " FROM runs"
                   " WHERE spoke = ? ORDER BY id DESC LIMIT 1");
    status = last.each(
        [&](auto& row) {
          if (row.integer(0) == 0) result.lastFailure = failureOf(row.text(1), row.text(6));
          result.last = LastRun{row.integer(2), row.integer(3), uint64_t(row.integer(4)),
                                uint32_t(row.integer(5))};
          return false;
        },
        spoke);
    if (!status.ok()) return status;
    Statement failed(*database_, "SELECT count(*) FROM runs WHERE spoke = ? AND ok = 0");
    status = failed.each(
        [&](auto& row) {
          result.failed = uint64_t(row.integer(0));
          return true;
        },
        spoke);
    if (!status.ok()) return status;
    return result;
  });
}

std::optional<Endpoint> Store::lastEndpoint(const std::string& spoke) {
  return database_->first(
      "SELECT address, port, config_state FROM reached WHERE spoke = ?",
      [](auto& row) {
        return Endpoint{row.text(0), uint16_t(row.integer(1)), row.text(2)};
      },
      spoke);
}

absl::Status Store::setLastEndpoint(const std::string& spoke,
                                    const std::optional<Endpoint>& endpoint) {
  if (!endpoint) return database_->run("DELETE FROM reached WHERE spoke = ?", spoke);
  return database_->run(
      "INSERT OR REPLACE INTO reached (spoke, address, port, config_state) VALUES (?, ?, ?, ?)",
      spoke, endpoint->address, endpoint->port, endpoint->configState);
}

std::optional<std::string> Store::whyNotLibssh2(const std::string& spoke, const std::string& server,
                                                int64_t now) {
  return database_->first(
      "SELECT reason FROM not_libssh2 WHERE spoke = ? AND server = ? AND at_ns BETWEEN ? AND ?",
      [](auto& row) { return row.text(0); }, spoke, server, now - KNOWN_FOR, now + KNOWN_FOR);
}

absl::Status Store::setWhyNotLibssh2(const std::string& spoke, const std::string& server,
                                     const std::string& reason, int64_t now) {
  return database_->run(
      "INSERT OR REPLACE INTO not_libssh2 (spoke, server, reason, at_ns) VALUES (?, ?, ?, ?)",
      spoke, server, reason, now);
}

std::optional<Store::ProgramVersion> Store::programVersion(const std::string& name) {
  return database_->first(
      "SELECT state, version FROM programs WHERE name = ?",
      [](auto& row) {
        return ProgramVersion{row.text(0), row.text(1)};
      },
      name);
}

absl::Status Store::setProgramVersion(const std::string& name, const ProgramVersion& program) {
  return database_->run("INSERT OR REPLACE INTO programs (name, state, version) VALUES (?, ?, ?)",
                        name, program.state, program.version);
}

absl::StatusOr<std::vector<std::string>> Store::keptFiles(const std::string& spoke) {
  return paths(*database_, "kept", spoke);
}

absl::Status Store::setKeptFiles(const std::string& spoke, const std::vector<std::string>& kept) {
  return setPaths(*database_, "kept", spoke, kept);
}

absl::StatusOr<std::vector<std::string>> Store::failedFiles(const std::string& spoke) {
  return paths(*database_, "failed", spoke);
}

absl::Status Store::setFailedFiles(const std::string& spoke,
                                   const std::vector<std::string>& failed) {
  return setPaths(*database_, "failed", spoke, failed);
}

absl::StatusOr<std::vector<Store::LeftOutOf>> Store::leftOut(
    const std::string& spoke, const std::vector<std::string>& patterns) {
  return database_->use([&]() -> absl::StatusOr<std::vector<LeftOutOf>> {
    std::vector<LeftOutOf> found;
    auto status =
        Statement(*database_,
                  "SELECT path, ours, theirs FROM left_out WHERE spoke = ? AND patterns = ?")
            .each(
                [&](auto& row) {
                  found.push_back(
                      {row.text(0), uint64_t(row.integer(1)), uint64_t(row.integer(2))});
                  return true;
                },
                spoke, absl::StrJoin(patterns, "\n"));
    if (!status.ok()) return status;
    return found;
  });
}

absl::Status Store::setLeftOut(const std::string& spoke, const std::vector<std::string>& patterns,
                               const std::vector<LeftOutOf>& directories) {
  auto text = absl::StrJoin(patterns, "\n");
  return database_->use([&]() {
    return database_->inTransaction([&]() {
      auto status = forget(*database_, "left_out", spoke);
      Statement insert(
          *database_,
          "INSERT INTO left_out (spoke, path, ours, theirs, patterns) VALUES (?, ?, ?, ?, ?)");
      for (size_t i = 0; status.ok() && i < directories.size(); ++i) {
        auto& [path, ours, theirs] = directories[i];
        status = insert.run(spoke, Database::Blob{path}, int64_t(ours), int64_t(theirs), text);
      }
      return status;
    });
  });
}

std::optional<std::string> Store::filesystemTraits(const std::string& spoke,
                                                   const std::string& identity) {
  return database_->first(
      "SELECT traits FROM filesystems WHERE spoke = ? AND identity = ?",
      [](auto& row) { return row.text(0); }, spoke, identity);
}

absl::Status Store::setFilesystemTraits(const std::string& spoke, const std::string& identity,
                                        const std::string& traits) {
  return database_->run(
      "INSERT OR REPLACE INTO filesystems (spoke, identity, traits) VALUES (?, ?, ?)", spoke,
      identity, traits);
}

}  // namespace pibrain
