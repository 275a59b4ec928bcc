@0xd2d02e8ec1c8d60d;
# What pi-brain's commands ask of the daemon that runs for the same config, over a Unix socket that only
# this user can open. A command that meets a daemon of another version says so, and asks for nothing.
# Paths are bytes. Times are ns since the epoch.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("pibrain::control");

interface Daemon {
  hello @0 () -> (about :About);
  status @1 () -> (spokes :List(Spoke));

  pass @2 (spoke :Text, options :PassOptions) -> (pass :Pass);
  # Asks for a pass over the spoke's connection; null: there is none, so the caller must connect itself.

  watch @3 (spokes :List(Text), observer :Observer) -> ();
  # Tells of everything that happens to these spokes (none: to all), until the caller goes away. An observer
  # that is too slow loses its watch.

  reload @4 () -> (failure :Data);
  # Reads the config again. failure: why it cannot be used, as in Event.lost; empty: it is in use.

  doubt @5 (spoke :Text) -> ();
  # Says that a spoke which could not be reached may be reached now.

  stop @6 () -> ();

  reconnect @7 (spoke :Text) -> ();
  # Ends the connection to the spoke and makes another, with its agent and key as they are now.
}

interface Pass {
  wait @0 (milliseconds :UInt32) -> (ended :Bool, report :Report, progress :Progress);
  # Resolves when the pass has ended, or after this time.
}

interface Observer {
  tell @0 (event :Event) -> ();
}

struct About {
  version @0 :Text;
  pid @1 :UInt32;
  config @2 :Data;          # the file, as an absolute path
  started @3 :Int64;
  configFailure @4 :Data;   # why the file cannot be used as it is now, as in Event.lost; empty: it is in use
}

struct Spoke {
  name @0 :Text;
  state @1 :Text;           # as in report.capnp
  why @2 :Text;             # polling: why; scheduled: the schedule
  since @3 :Int64;
  lastChange @4 :Int64;     # when the latest change was in the mirror; 0: none since the daemon started
  lastPass @5 :Int64;       # when the latest scan ended; 0: none
  lagP50 @6 :Int64 = -1;    # ns from the write on the spoke to the mirror, by both clocks; -1: no changes yet
  lagP99 @7 :Int64 = -1;
  nextAttempt @8 :Int64;    # 0: it is connected
  failure @9 :Data;         # of the latest attempt or scan; empty: none
  unflushed @10 :Int64;     # when the first change was mirrored that is not on the disk yet; 0: all are
}

struct PassOptions {
  dryRun @0 :Bool;
  deleteGone @1 :Bool;
  maxDelete @2 :UInt64;
  waitSeconds @3 :UInt64;
}

struct Progress {
  phase @0 :UInt8;
  files @1 :UInt32;
  filesDone @2 :UInt32;
  bytes @3 :UInt64;
  bytesDone @4 :UInt64;
}

struct Event {
  spoke @0 :Text;
  union {
    entered :group {
      state @1 :Text;
      why @2 :Text;
    }
    changed :group {
      kind @3 :Text;
      path @4 :Data;
      from @5 :UInt64;
      to @6 :UInt64;
      written @7 :Int64;
      mirrored @8 :Int64;
    }
    passed @9 :Report;
    lost :group {
      failure @10 :Data;    # packed() in hub/base/failure.h
      pauseMs @11 :Int64;
    }
  }
}

struct Report {
  name @0 :Text;
  outcome @1 :Text;
  failure @2 :Data;         # empty: none
  warnings @3 :List(Data);
  transport @4 :Data;
  counts @5 :List(UInt32);  # in the order of hub/pass/spoke-report.h
  deferred @6 :List(Data);
  changes @7 :List(Change);
  started @8 :Int64;
  finished @9 :Int64;
  bytesGrown @10 :UInt64;
  bytesLiteral @11 :UInt64;
  wireUp @12 :UInt64;
  wireDown @13 :UInt64;

  struct Change {
    kind @0 :Text;
    path @1 :Data;
    from @2 :Data;
    size @3 :UInt64;
    added @4 :UInt64;
  }
}
