#pragma once
// libssh2's conversation with an ssh-agent. libssh2 sends and receives on the agent's socket, which
// blocks, through the callbacks of the session that the agent object belongs to.

#include <sys/types.h>

#include <string>
#include <vector>

typedef struct _LIBSSH2_AGENT LIBSSH2_AGENT;
typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// For a session's SEND and RECV callbacks; results are as those want them. The agent's silence for
// 10 s is an error, and so is its end: libssh2 would ask for ever.
ssize_t receiveFromAgent(int fd, void* buffer, size_t length, int flags);
ssize_t sendToAgent(int fd, const void* buffer, size_t length, int flags);

// The agent at `socketPath`, connected, to be freed with libssh2_agent_free(); null if nobody
// answers there.
LIBSSH2_AGENT* openAgent(LIBSSH2_SESSION* session, const std::string& socketPath);

struct AgentKey {
  std::string blob;  // RFC 4253, section 6.6
  std::string comment;
};

// Whether the passphrase opens the private key in the file.
bool opensPrivateKey(const std::string& path, const std::string& passphrase);

// The keys in the agent at `socketPath`. False if it does not answer.
bool listAgentKeys(const std::string& socketPath, std::vector<AgentKey>& keys);

}  // namespace pibrain
