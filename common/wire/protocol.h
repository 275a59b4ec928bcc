#pragma once
// What both sides agree on before the first RPC message, and the limits that both obey.

#include <stddef.h>
#include <stdint.h>

#include <string_view>

namespace pibrain {

// The agent writes this first. The hub skips what a shell prints before it.
inline constexpr std::string_view PREAMBLE{"\n\0pi-brain-agent/1\n", 19};
inline constexpr size_t MAX_SHELL_NOISE = 64 * 1024;  // bytes before the preamble

inline constexpr uint32_t PROTOCOL = 3;         // Peer.protocol
inline constexpr uint32_t OLDEST_PROTOCOL = 2;  // Peer.oldestProtocol

// The longest component of a path (NAME_MAX), and the deepest tree.
inline constexpr size_t MAX_NAME = 255;
inline constexpr size_t MAX_DEPTH = 400;

// A listing reports at most so many problems: more would tell a person nothing.
inline constexpr size_t MAX_PROBLEMS = 1000;

// At most so many of the skipped entries (symlinks, sockets, …) are named.
inline constexpr size_t MAX_SKIPPED = 10'000;

// Blocks (agent.capnp): content comes in pieces of at most MAX_PIECE, and a block ends once it
// holds BLOCK_RAW bytes before compression. So no block decompresses to more than MAX_BLOCK_RAW.
inline constexpr size_t MAX_PIECE = 128 * 1024;
inline constexpr size_t BLOCK_RAW = 512 * 1024;
inline constexpr size_t MAX_BLOCK_RAW = 1024 * 1024;

// The largest messages of the RPC, in bytes. Cap'n Proto refuses to send what it would not accept
// itself, so both ends are given the larger limit, and each checks by itself what it receives
// (message-guard.h).
inline constexpr size_t MAX_REQUEST = 16 * 1024 * 1024;  // that an agent accepts
inline constexpr size_t MAX_ANSWER = 2 * MAX_BLOCK_RAW;  // that a hub accepts: a block, little more
// A hub keeps its requests below MAX_REQUEST, whatever the number and size of files, by asking
// several times.
inline constexpr size_t MAX_WANTS = 4096;                         // of one pull
inline constexpr size_t MAX_WANTED_SIGNATURES = 4 * 1024 * 1024;  // of one pull with several wants
inline constexpr size_t MAX_WANTED_SIGNATURE = 8 * 1024 * 1024;   // of a pull with one want
inline constexpr size_t MAX_IDS = 500'000;                        // of files to describe or digest
inline constexpr size_t MAX_KNOWN = 1'000'000;                    // digests of directories

// A watch in which nothing happens: how often the agent gives a sign of life, how long it waits for
// one of the hub's requests before it ends itself, and how long the hub waits for a sign.
inline constexpr uint32_t WATCH_PROTOCOL = 3;  // the first protocol that has it
inline constexpr uint32_t TICK_SECONDS = 45;
inline constexpr uint32_t UNHEARD_SECONDS = 90;
inline constexpr uint32_t MISSED_TICK_SECONDS = 60;

// P4: a *.jsonl file that changed less than this ago is sent up to its last newline.
inline constexpr int64_t QUIET_NANOS = 10'000'000'000;
// A file that changed less than this ago might change again and keep the same time.
inline constexpr int64_t SETTLED_NANOS = 2'000'000'000;

inline constexpr std::string_view SESSION_SUFFIX = ".jsonl";

}  // namespace pibrain
