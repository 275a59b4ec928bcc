@0xe2e3af943411aa73;
# The wire contract between the hub and the agent on a spoke.
#
# The agent writes the preamble (common/wire/protocol.h), then both sides speak Cap'n Proto's
# two-party protocol. The agent's bootstrap capability is a Spoke. The hub sends
# hello, scan and the first next in one flight, by promise pipelining.
#
# No call carries a path to the spoke: the hub names files by the ids of the agent's own scan.
# Methods answer with typed results and events; an RPC exception is a bug or a lost connection.
#
# Compatibility (P12). In hello each side names the newest and the oldest protocol that it speaks; a
# hub and an agent talk if both speak one of the other's, and use nothing that the older one lacks.
# Within a protocol, fields are only added: their default means what was so before, a flag in Peer
# says whether the other side knows them, and numbers are never used again. What is asked or told in
# another way needs the next protocol, and the one before stays supported.
#
# Names and paths are Data, since file names are bytes; a path's components are separated by '/'.
# Times are nanoseconds since 1970-01-01T00:00:00Z, sizes are bytes.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("pibrain::proto");

struct Peer {
  version @0 :Text;            # of the program, for people: "0.1.0"
  protocol @1 :UInt32;         # the newest protocol that this side speaks
  oldestProtocol @2 :UInt32;   # the oldest one that it still speaks
  host @3 :Text;
  clock @4 :Int64;             # agent: its wall clock, now
  root @5 :Text;               # agent: the directory that it serves, as an absolute path
  home @6 :Text;               # agent: $HOME, to compare `root` with a configured "~/…"
  rootState @7 :RootState;     # agent
  sandbox @8 :Text;            # agent: what confines it ("Landlock 7, seccomp, limits")
  forced @9 :Bool;             # agent: sshd started it as a forced command
  keyed @10 :Bool;             # agent: it hashes with the secrets of pull and digest
  hashesBeginnings @11 :Bool;  # agent: it knows the `lengths` of digest
  partlyConfined @12 :Bool;    # agent: the kernel lacks a part of the sandbox (older agents: false)
}

enum RootState { served @0; missing @1; notADirectory @2; denied @3; }

interface Spoke {
  hello @0 (hub :Peer) -> (spoke :Peer, sessions :Sessions);
}

interface Sessions {
  scan @0 (tree :Hash, known :List(UInt64), knownComplete :Bool, reuse :Bool, newest :Int64,
           maxSkipped :UInt32, times :StoredTimes, modes :Bool,
           untilAtRest :Bool) -> (listing :Blocks);
  # Walks the root. `tree` is the digest of the hub's whole mirror, `known` the digests of its
  # directories (common/tree/tree.h defines both). The listing begins with a Summary, and ends with it
  # if the digests of the trees are equal. If they differ and `knownComplete` is false, it ends there
  # too (`state` = differs): the hub scans again with every digest, and with `reuse`, which has the
  # same walk answer. Otherwise follow the directories whose digest is not in `known`, and the
  # indexes of the digests in `known` that the spoke does not have. The agent assumes that the hub
  # knows files that last changed at `newest` or before, and sends their fingerprints alone.
  # Unless the trees are equal, or the state is `differs`, at most `maxSkipped` of the skipped
  # entries are named. `times` and `modes` say what digests and fingerprints include (DigestOptions
  # there); an agent that does not know these two answers with all of its directories.
  # `untilAtRest`: the agent walks a few times, until no directory changed from one walk to the
  # next, and the summary says whether that was reached.

  pull @1 (wants :List(Want), options :PullOptions) -> (blocks :Blocks);
  # Answers the wants in their order, each with begin, data…, end; or with differs; or with refused.

  signature @2 (file :UInt32, blockLength :UInt32, strongLength :UInt32) -> (blocks :Blocks);
  # Sends librsync's signature of a file as `signature` events, or refused. A length of zero: chosen
  # by the file's size.

  digest @3 (files :List(UInt32), secret :Data, lengths :List(UInt64)) -> (blocks :Blocks);
  # Sends a `digest` event for each file, or refused. `secret` as in PullOptions. `lengths`: how many
  # of each file's first bytes to hash, or all if it has fewer; empty: all.

  describe @4 (files :List(UInt32)) -> (listing :Blocks);
  # Sends an `entry` event for each file, or refused. For files whose fingerprint the hub does not know.

  watch @5 (secret :Data) -> (changes :Blocks);
  # Protocol 3. Tells of changes since the latest scan, for as long as the hub asks: each `next` is
  # answered when there is something to tell, or with an empty block as a sign of life, after
  # TICK_SECONDS. Each block is a stream of its own, and holds whole files' events:
  # - `directory` with one entry: this file has changed, and here is its path; an id that the listing
  #   did not have is that of a session that came since;
  # - begin (tail, with `from`), data, end: what was appended to a file that this session has sent
  #   up to `from`, of which a `directory` told before. Only that the file was appended to is claimed:
  #   proof is a pull with a prefix;
  # - `watched`: how changes are found; the first event of the stream;
  # - `scanNeeded`: files went, or came that are no sessions, or the agent lost track; a scan tells.
  # The ids are those of the latest scan, so the next scan ends the stream, as does the next watch.
  # `secret` as in PullOptions. While it watches, an agent that hears nothing for 90 s ends itself.
}

interface Blocks {
  # One stream of events, in blocks. Each block is the next piece of one zstd stream, flushed so that
  # it can be decoded when it arrives. It decompresses to whole Event messages in Cap'n Proto's
  # stream framing, one after the other.

  next @0 () -> (block :Data, last :Bool);
  # May be called again before it has answered: answers keep the order. After the last block it
  # answers with an empty block and last = true.
}

struct Hash { low @0 :UInt64; high @1 :UInt64; }   # XXH3, 128 bits

struct StoredTimes {
  # How the hub's filesystem stores a time: clamped to `oldest` and `newest`, then rounded down.
  grain @0 :Int64 = 1;
  oldest @1 :Int64 = -0x8000000000000000;
  newest @2 :Int64 = 0x7fffffffffffffff;
}

struct PullOptions {
  compressionLevel @0 :Int32 = 1;   # zstd's; the agent clamps it to 1…9
  secret @1 :Data;                  # of XXH3 (192 bytes), for all hashes of the pull; empty: the default
}

struct Want {
  file @0 :UInt32;
  union {
    whole @1 :Void;
    new @4 :Void;          # the whole, or a delta against the session that it was forked from
    prefix @2 :Basis;      # the tail, if the file's first `size` bytes have this hash
    signature @3 :Data;    # a librsync delta against the file with this signature (RS_BLAKE2_SIG)
  }
}

struct Basis {
  size @0 :UInt64;
  hash @1 :Hash;
  asSent @2 :Bool;           # the agent need not read what this session sent already
}

struct Event {
  union {
    summary @0 :Summary;
    directory @1 :Directory;
    unseen @2 :List(UInt32);   # indexes into `known`
    problem @3 :Problem;
    begin @4 :Begin;
    data @5 :Piece;
    end @6 :Hash;              # of the whole file
    differs @7 :UInt32;        # file: the prefix is not the same
    refused @8 :Refused;
    digest @9 :FileDigest;
    signature @10 :Data;       # the next bytes of the signature
    entry @11 :FileEntry;
    skipped @12 :Data;         # the path of a symlink, socket, FIFO or device
    watched @13 :Watched;
    scanNeeded @14 :Void;
  }
}

struct Summary {
  state @0 :State;
  complete @1 :Bool;           # false: a directory could not be read, so nothing may be deleted
  directories @2 :UInt32;      # those with files
  files @3 :UInt32;
  bytes @4 :UInt64;
  symlinksSkipped @5 :UInt32;
  specialsSkipped @6 :UInt32;  # sockets, FIFOs, devices
  rest @7 :Rest;               # if the scan asked for `untilAtRest`
  enum Rest { unsaid @0; atRest @1; changing @2; }
  enum State { same @0; differs @1; listed @2; }
}

struct Directory {
  # Some or all files of one directory; more of them may follow in a further event.
  path @0 :Data;               # relative to the root; empty for the root itself
  firstFile @1 :UInt32;        # the id of the first file; the others count up from it
  fingerprints @2 :List(UInt64);  # of each file (common/tree/tree.h); 0: it is one of the entries
  entries @3 :List(Entry);     # in the order of the files
}

struct Entry { name @0 :Data; size @1 :UInt64; mtime @2 :Int64; mode @3 :UInt16; }

struct FileEntry { file @0 :UInt32; entry @1 :Entry; }

struct Problem { path @0 :Data; reason @1 :Reason; }

enum Reason {
  vanished @0;
  denied @1;
  notRegular @2;
  changing @3;        # it changed while it was read; ask again
  unfinishedLine @4;  # P4: it has no whole line yet; or it is part of a database in use
  tooDeep @5;
  tooMany @6;
  ioError @7;
  badRequest @8;      # no such id, an invalid signature, …
  nameTooLong @9;     # longer than a name can be on the hub
}

struct Begin {
  file @0 :UInt32;
  content @1 :Content;
  size @2 :UInt64;    # of the file as it will be at the end
  mtime @3 :Int64;    # read before the content was
  unsettled @4 :Bool; # so recent that a later change might leave the same mtime
  mode @5 :UInt16;    # permission bits
  parent @6 :Parent;  # fork
  holes @7 :UInt64;   # about how many of these bytes take no space on the spoke's disk
  from @8 :UInt64;    # in a watch: where the tail begins
  enum Content { whole @0; tail @1; delta @2; fork @3; }
}

struct Parent {
  # The file that a fork's librsync delta starts from, as the agent read it: its first `size` bytes
  # have this hash. If those of the hub's copy do not, the hub asks again for the whole file.
  path @0 :Data;      # relative to the root
  size @1 :UInt64;
  hash @2 :Hash;
}

struct Piece {
  bytes @0 :Data;
  hash @1 :Hash;      # whole, tail: of the file up to the end of this piece. delta: unset
}

struct Watched {
  directories @0 :UInt32;      # whose changes the kernel tells at once
  polled @1 :UInt32;           # which the agent reads again and again, to find changes
  why @2 :Why;                 # they are polled
  enum Why {
    unsaid @0;
    kernel @1;                 # it tells nothing to users without privileges (Linux before 5.13)
    filesystem @2;             # it does not report all changes
    limit @3;                  # the user has no marks left: fs.fanotify.max_user_marks
    budget @4;                 # there are more directories than the agent marks
  }
}

struct Refused { file @0 :UInt32; reason @1 :Reason; }

struct FileDigest { file @0 :UInt32; size @1 :UInt64; hash @2 :Hash; }
