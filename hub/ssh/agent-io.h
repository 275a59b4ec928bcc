#pragma once
// Lets libssh2 talk to an ssh-agent. libssh2 uses the agent's blocking socket through the callbacks
// of the agent's session.

#include <sys/types.h>

#include <string>
#include <vector>

typedef struct _LIBSSH2_AGENT LIBSSH2_AGENT;
typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// For a session's SEND and RECV callbacks, with their results. It is an error if the agent is
// silent for 10 s, or ends; libssh2 would retry for ever.
ssize_t receiveFromAgent(int fd, void* buffer, size_t length, int flags);
ssize_t sendToAgent(int fd, const void* buffer, size_t length, int flags);

// Connects to the agent at `socketPath`. The caller must free it with libssh2_agent_free(). Returns
// null if nobody answers.
LIBSSH2_AGENT* openAgent(LIBSSH2_SESSION* session, const std::string& socketPath);

struct AgentKey {
  std::string blob;  // RFC 4253, section 6.6
  std::string comment;
};

// Returns whether the passphrase decrypts the private key in the file.
bool opensPrivateKey(const std::string& path, const std::string& passphrase);

// Lists the keys in the agent at `socketPath`. Returns false if it does not answer.
bool listAgentKeys(const std::string& socketPath, std::vector<AgentKey>& keys);

}  // namespace pibrain
