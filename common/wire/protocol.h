#pragma once
// What both sides agree on before the first RPC message, and the limits that both keep to.

#include <stddef.h>
#include <stdint.h>

#include <string_view>

namespace pibrain {

// The agent writes this first; the hub skips what a shell printed before it.
inline constexpr std::string_view PREAMBLE{"\n\0pi-brain-agent/1\n", 19};
inline constexpr size_t MAX_SHELL_NOISE = 64 * 1024;  // bytes before the preamble

inline constexpr uint32_t PROTOCOL = 2;         // Peer.protocol
inline constexpr uint32_t OLDEST_PROTOCOL = 2;  // Peer.oldestProtocol

// A path's component may be this long (NAME_MAX), a tree this deep.
inline constexpr size_t MAX_NAME = 255;
inline constexpr size_t MAX_DEPTH = 400;

// More problems than these in a listing tell nobody more.
inline constexpr size_t MAX_PROBLEMS = 1000;

// Of what a walk passes over (symlinks, sockets, …) at most so many are named.
inline constexpr size_t MAX_SKIPPED = 10'000;

// Blocks (agent.capnp): content comes in pieces of at most MAX_PIECE; a block is closed when it
// holds BLOCK_RAW bytes before compression. So none decompresses to more than MAX_BLOCK_RAW.
inline constexpr size_t MAX_PIECE = 128 * 1024;
inline constexpr size_t BLOCK_RAW = 512 * 1024;
inline constexpr size_t MAX_BLOCK_RAW = 1024 * 1024;

// Messages of the RPC, in bytes. What a side takes and what the other one sends are not one limit:
// Cap'n Proto refuses to send what it would not take itself, so both ends are told the larger one,
// and each bounds by itself what comes in (message-guard.h).
inline constexpr size_t MAX_REQUEST = 16 * 1024 * 1024;  // an agent takes
inline constexpr size_t MAX_ANSWER = 2 * MAX_BLOCK_RAW;  // a hub takes: a block, little more
// A hub keeps its requests below MAX_REQUEST, whatever the number and size of files: it asks
// several times.
inline constexpr size_t MAX_WANTS = 4096;                         // of one pull …
inline constexpr size_t MAX_WANTED_SIGNATURES = 4 * 1024 * 1024;  // … but for one larger alone,
inline constexpr size_t MAX_WANTED_SIGNATURE = 8 * 1024 * 1024;   // of which this is the largest
inline constexpr size_t MAX_IDS = 500'000;                        // of files, to describe or digest
inline constexpr size_t MAX_KNOWN = 1'000'000;                    // digests of directories

// P4: a *.jsonl file changed less than this ago is sent up to its last newline.
inline constexpr int64_t QUIET_NANOS = 10'000'000'000;
// A file changed less than this ago might change again within the same timestamp.
inline constexpr int64_t SETTLED_NANOS = 2'000'000'000;

inline constexpr std::string_view SESSION_SUFFIX = ".jsonl";

}  // namespace pibrain
