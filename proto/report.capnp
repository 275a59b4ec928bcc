@0x8683008751ea7272;
# What the hub reports: the documents that --json prints, by Cap'n Proto's JSON codec.
# Times are ISO 8601 in UTC, durations seconds, sizes bytes (Float64: JSON's number).
# A path is bytes, and JSON is Unicode: bytes that are not UTF-8 become U+FFFD. The field beside such a
# path whose name ends in "Bytes" then has the exact path, percent-encoded as in a URL; it is null if
# the path is exact itself. Options that take a path accept this form too, with "bytes:" before it.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("pibrain::report");

struct Failure {
  # A failure, in every document; null if nothing failed. A field beside it has the same as one line of text.
  id @0 :Text;                   # "host-key-changed", …: docs/errors.md lists them
  what @1 :Text;                 # what failed, a clause without a full stop
  cause @2 :Text;                # why, whole sentences; null: not known
  fixes @3 :List(Fix);           # what a person can do

  struct Fix {
    text @0 :Text;               # an imperative without a full stop
    command @1 :Text;            # to be pasted into a shell; null: none
  }
}

struct Refusal {
  # Instead of its document, what a command prints that failed before it had one: a mistake in the command line
  # or in the config, for example.
  ok @0 :Bool;                   # false
  error @1 :Text;
  failure @2 :Failure;
}

struct Status {
  hubName @0 :Text;
  hubSessionsDir @1 :Text;
  hubSessionCount @2 :UInt32;
  rsyncAvailable @3 :Bool;
  spokes @4 :List(Spoke);
  totalSpokeSessionCount @5 :UInt32;
  hubSessionsDirBytes @6 :Text;

  struct Spoke {
    name @0 :Text;
    syncMethod @1 :Text;
    path @2 :Text;
    source @3 :Text;             # null: none
    enabled @4 :Bool;
    exists @5 :Bool;
    sessionCount @6 :UInt32;
    lastSync @7 :Text;           # the last good run; null: never
    lastSyncFormatted @8 :Text;
    lastError @9 :Text;          # null: the last run was good
    archiveBytes @10 :Float64;
    mirrorBytes @11 :Float64;
    mirrorFiles @12 :UInt32;     # sessions and all other files
    lastRun @13 :Text;           # the end of the latest run, good or not; null: none
    lagSeconds @14 :Float64 = -1; # the age of the mirror: what the spoke wrote since may be missing; -1: never synced
    schedule @15 :Text;          # as in the config; null: none
    pathBytes @16 :Text;
    lastFailure @17 :Failure;
    live @19 :Text;              # the spoke's state in DaemonStatus; null: no daemon keeps it up to date
    state @18 :Text;             # "ok", "failed", "stale" (not synced for two days), "root-empty", "never synced", "disabled"
  }
}

struct Run {
  ok @0 :Bool;
  dryRun @1 :Bool;
  spokes @2 :List(Spoke);

  struct Spoke {
    name @0 :Text;
    outcome @1 :Text;            # "ok", "failed", "locked", "skipped"
    error @2 :Text;              # null: none
    warnings @3 :List(Text);
    counts @4 :Counts;
    seconds @5 :Float64;
    bytesLiteral @6 :Float64;    # content that was sent, before compression
    wireUp @7 :Float64;          # on the connection, from the hub to the spoke
    wireDown @8 :Float64;
    changes @9 :List(Change);    # with --dry-run or -v
    bytesGrown @11 :Float64;     # by how much the grown files grew
    deferred @12 :List(Text);    # some of the files that are still being written
    transport @10 :Text;         # which program spoke SSH: "libssh2 1.10.0", "OpenSSH, because …"; null: none
    failure @13 :Failure;
  }
  struct Counts {
    new @0 :UInt32;
    grown @1 :UInt32;
    rewritten @2 :UInt32;
    moved @3 :UInt32;
    touched @4 :UInt32;          # the same content with another time
    deleted @5 :UInt32;
    kept @6 :UInt32;             # gone on the spoke, kept in the mirror
    deferred @7 :UInt32;         # still being written: the next run fetches them
    failed @8 :UInt32;
    files @9 :UInt32;            # on the spoke
  }
  struct Change {
    kind @0 :Text;               # "new", "grow", "rewrite", "move", "delete", …
    path @1 :Text;
    from @2 :Text;               # move: the old path
    size @3 :Float64;
    added @4 :Float64;           # grow: how many bytes are new
    pathBytes @5 :Text;
    fromBytes @6 :Text;
  }
}

struct SessionList {
  spokes @0 :List(Spoke);
  struct Spoke {
    name @0 :Text;
    syncMethod @1 :Text;
    path @2 :Text;
    sessions @3 :List(Text);     # relative to path; --long: absolute. The latest first
    pathBytes @4 :Text;
    sessionsBytes @5 :List(Text); # one for each of `sessions`: null, or the exact path
    details @6 :List(Session);   # one for each of `sessions`
    total @7 :UInt32;            # in the mirror, of which --since and --project may list fewer
  }
  struct Session {
    size @0 :Float64;
    modified @1 :Text;
    project @2 :Text;            # pi's directory for it, "--home-will-code--"; null: it lies in none
    directory @3 :Text;          # with --long: where pi was started; null: not known
    title @4 :Text;              # with --long: the first words of the user's first message; null: not known
  }
}

struct Verify {
  ok @0 :Bool;
  spokes @1 :List(Spoke);

  struct Spoke {
    name @0 :Text;
    outcome @1 :Text;            # as in Run; "ok": it was compared
    error @2 :Text;              # null: none
    warnings @3 :List(Text);
    files @4 :UInt32;            # compared: those on both sides
    bytes @5 :Float64;           # in them
    extra @6 :UInt32;            # in the mirror alone
    differences @7 :List(Difference);
    repaired @8 :Bool;           # all differences were fetched
    seconds @9 :Float64;
    wireUp @10 :Float64;
    wireDown @11 :Float64;
    unread @12 :UInt32;          # files and directories that the spoke could not read: not compared
    failure @13 :Failure;
  }
  struct Difference {
    path @0 :Text;
    kind @1 :Text;               # "content": size and time are the same; "changed", "missing": a run fetches it
    size @2 :Float64;            # on the spoke
    mirrorSize @3 :Float64;
    offset @4 :Float64 = -1;     # where the first block that differs begins; -1: not known
    blockLength @5 :UInt32;
    pathBytes @6 :Text;
  }
}

struct ArchiveList {
  files @0 :List(File);          # oldest run first, spoke by spoke
  bytes @1 :Float64;             # of all of them
  error @2 :Text;
  failure @3 :Failure;           # why some could not be read

  struct File {
    id @0 :Text;                 # for `archive restore`
    spoke @1 :Text;
    path @2 :Text;               # in the mirror, when it was there
    archived @3 :Text;           # when the run began that archived it
    modified @4 :Text;
    size @5 :Float64;
    pathBytes @6 :Text;
    spokeBytes @7 :Text;         # as pathBytes, for a directory that somebody else put into the archive
    reason @8 :Text;             # why it was archived: "replaced", "repaired", "edited", "deleted", "recovered", "removed"; null: not noted
    run @9 :Text;                # that archived it, for `archive restore --run`
  }
}

struct ArchiveRestore {
  ok @0 :Bool;                   # all of it was, or would be, restored
  dryRun @1 :Bool;               # nothing was done: the outcomes are what would be
  files @2 :List(File);
  failures @3 :List(Failure);    # what was asked for and is not in the archive

  struct File {
    id @0 :Text;
    spoke @1 :Text;
    path @2 :Text;               # in the mirror, when it was there
    pathBytes @3 :Text;
    spokeBytes @4 :Text;
    outcome @5 :Text;            # "restored", "failed", "older": a later version of this file was restored instead
    to @6 :Text;                 # where it is, or would be
    toBytes @7 :Text;
    failure @8 :Failure;
  }
}

struct Doctor {
  ok @0 :Bool;                   # nothing failed
  hub @1 :List(Check);
  spokes @2 :List(Spoke);

  struct Spoke {
    name @0 :Text;
    checks @1 :List(Check);      # in order; after one that failed, only those that do not depend on it
  }
  struct Check {
    step @0 :Text;               # "config", "ssh", "name", "connection", "host key", "login", …
    state @1 :Text;              # "ok", "warning", "failed", "skipped"
    detail @2 :Text;             # what was found; or what is wrong, why, and how to fix it
    failure @3 :Failure;         # of "warning", too
  }
}

struct History {
  runs @0 :List(Entry);          # the latest first

  struct Entry {
    spoke @0 :Text;
    started @1 :Text;
    finished @2 :Text;
    ok @3 :Bool;
    error @4 :Text;              # null: none
    counts @5 :Run.Counts;
    seconds @6 :Float64;
    bytesGrown @7 :Float64;      # these four as in Run
    bytesLiteral @8 :Float64;
    wireUp @9 :Float64;
    wireDown @10 :Float64;
    failure @11 :Failure;
    live @12 :Bool;              # not a run: the totals of what live mode mirrored in one hour
  }
}

struct SpokeList {
  spokes @0 :List(Spoke);

  struct Spoke {
    name @0 :Text;
    syncMethod @1 :Text;
    source @2 :Text;
    path @3 :Text;
    enabled @4 :Bool;
    version @5 :Text;            # of the agent, at the last contact; null: never
    sandbox @6 :Text;            # what confined the agent then
    lastContact @7 :Text;        # without an agent, the last good run; null: never
    key @8 :Text;                # the identity file; null: as the ssh configuration has it
    fingerprint @9 :Text;        # of that key, "SHA256:…"; null: not known
    pathBytes @10 :Text;
    keyBytes @11 :Text;
    keyProblem @12 :Text;        # why nobody can log in with the key; null: it can be used
  }
}

struct SpokeChanges {
  # What `spoke add`, upgrade, rotate-key, rename, enable, disable and remove did.
  ok @0 :Bool;
  spokes @1 :List(Spoke);
  dryRun @2 :Bool;               # nothing was changed: the outcomes are what a real run would do

  struct Spoke {
    name @0 :Text;
    target @1 :Text;             # the login that was used
    outcome @2 :Text;            # "added", "changed", "upgraded", "rotated", "renamed", "enabled", "disabled", "removed", "unchanged", "failed"
    error @3 :Text;              # null: none
    architecture @4 :Text;       # null: not known
    agent @5 :Text;              # on the spoke: "new", "replaced", "same"; null: not touched
    line @6 :Text;               # in authorized_keys: "added", "replaced", "same"; null: not touched
    said @7 :List(Text);         # messages for a person
    seconds @8 :Float64;
    failure @9 :Failure;
    version @10 :Text;           # of the agent that was started; null: none was
    formerVersion @11 :Text;     # `spoke upgrade`: at the last contact before; null: not known
  }
}

struct DaemonStatus {
  # `pi-brain daemon status --json`.
  pid @0 :UInt32;
  version @1 :Text;
  config @2 :Text;               # the file
  configBytes @3 :Text;
  started @4 :Text;
  configFailure @5 :Failure;     # why the config cannot be used as it is now; null: it is in use
  spokes @6 :List(Spoke);

  struct Spoke {
    name @0 :Text;
    state @1 :Text;              # "live", "polling", "scheduled" (by rsync), "scanning", "connecting", "offline", "failed"
    why @2 :Text;                # polling: why; scheduled: the schedule in the config; null: none
    since @3 :Text;
    lastChange @4 :Text;         # null: none since the daemon started
    lastScan @5 :Text;           # when everything was compared last; null: not yet
    lagSecondsP50 @6 :Float64 = -1;  # from the write on the spoke to the mirror, by both clocks, of the last
    lagSecondsP99 @7 :Float64 = -1;  # thousand changes; -1: no changes yet
    nextAttempt @8 :Text;        # null: it is connected
    failure @9 :Failure;         # of the latest attempt or scan; null: none
    durableUpTo @10 :Text;       # every change that was in the mirror by then is on the hub's disk
  }
}

struct WatchLine {
  # A line of `sync watch --json`, which prints one for each event.
  spoke @0 :Text;
  time @1 :Text;                 # by the hub's clock
  event @2 :Text;                # "connecting", "scanning", "live", "polling", "scanned", "changed", "lost": the connection,
                                 # "ended": the daemon has, and so does this command
  why @3 :Text;                  # polling: why; null: none
  path @4 :Text;                 # changed: relative to the mirror; null for the other events
  pathBytes @5 :Text;
  kind @6 :Text;                 # changed: as Run.Change.kind
  from @7 :Float64;              # changed: the first byte that is new, and the file's size
  to @8 :Float64;
  writtenNs @9 :Text;            # changed: the file's mtime on the spoke, ns since the epoch, by the spoke's clock
  mirroredNs @10 :Text;          # changed: when a reader of the mirror could find it, ns since the epoch, by the hub's clock
  failure @11 :Failure;          # lost, scanned, ended: what went wrong; null: nothing
}
