#include "hub/ssh/agent-io.h"

#include <errno.h>
#include <kj/common.h>
#include <kj/io.h>
#include <libssh2.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <string_view>

#include "hub/ssh/callbacks.h"

namespace pibrain {

namespace {

// Milliseconds. An agent may wait for a person who is absent.
constexpr int AGENT_TIMEOUT = 10'000;

bool isReady(int fd, short events) {
  struct pollfd ready = {fd, events, 0};
  int n;
  do {
    n = poll(&ready, 1, AGENT_TIMEOUT);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

LIBSSH2_RECV_FUNC(onReceive) {
  (void)abstract;
  return receiveFromAgent(socket, buffer, length, flags);
}

LIBSSH2_SEND_FUNC(onSend) {
  (void)abstract;
  return sendToAgent(socket, buffer, length, flags);
}

LIBSSH2_RECV_FUNC(onDeadReceive) {
  (void)socket, (void)buffer, (void)length, (void)flags, (void)abstract;
  return -ECONNRESET;
}

LIBSSH2_SEND_FUNC(onDeadSend) {
  (void)socket, (void)buffer, (void)length, (void)flags, (void)abstract;
  return -ECONNRESET;
}

bool answers(const std::string& socketPath) {
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socketPath.size() >= sizeof(address.sun_path)) return false;
  memcpy(address.sun_path, socketPath.data(), socketPath.size());
  kj::AutoCloseFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return probe.get() >= 0 &&
         connect(probe, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0;
}

}  // namespace

ssize_t receiveFromAgent(int fd, void* buffer, size_t length, int flags) {
  if (!isReady(fd, POLLIN)) return -ETIMEDOUT;
  ssize_t n;
  do {
    n = recv(fd, buffer, length, flags);
  } while (n < 0 && errno == EINTR);
  if (n == 0) return -ECONNRESET;
  return n < 0 ? -(errno == EAGAIN ? ETIMEDOUT : errno) : n;
}

ssize_t sendToAgent(int fd, const void* buffer, size_t length, int flags) {
  if (!isReady(fd, POLLOUT)) return -ETIMEDOUT;
  ssize_t n;
  do {
    n = send(fd, buffer, length, flags | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

bool opensPrivateKey(const std::string& path, const std::string& passphrase) {
  // libssh2 reads the key before it offers it, and this session is not connected.
  LIBSSH2_SESSION* session = libssh2_session_init();
  if (session == nullptr) return false;
  KJ_DEFER(libssh2_session_free(session));
  setCallbacks(session, onDeadReceive, onDeadSend);
  // libssh2 requires a user name, and sends it to no one here.
  constexpr std::string_view ANY_USER = "user";
  int result =
      libssh2_userauth_publickey_fromfile_ex(session, ANY_USER.data(), unsigned(ANY_USER.size()),
                                             nullptr, path.c_str(), passphrase.c_str());
  return result != LIBSSH2_ERROR_FILE;
}

LIBSSH2_AGENT* openAgent(LIBSSH2_SESSION* session, const std::string& socketPath) {
  LIBSSH2_AGENT* agent = libssh2_agent_init(session);
  if (agent == nullptr) return nullptr;
  if (!answers(socketPath)) {
    libssh2_agent_free(agent);
    return nullptr;
  }
  libssh2_agent_set_identity_path(agent, socketPath.c_str());
  if (libssh2_agent_connect(agent) == 0) return agent;
  // Not freed: libssh2 up to at least 1.11.1 would close its socket a second time (agent.c,
  // agent_connect_unix()), when the descriptor may be another thread's file.
  return nullptr;
}

bool listAgentKeys(const std::string& socketPath, std::vector<AgentKey>& keys) {
  // libssh2's agent functions need a session; this one never connects.
  LIBSSH2_SESSION* session = libssh2_session_init();
  if (session == nullptr) return false;
  KJ_DEFER(libssh2_session_free(session));
  setCallbacks(session, onReceive, onSend);
  LIBSSH2_AGENT* agent = openAgent(session, socketPath);
  if (agent == nullptr) return false;
  KJ_DEFER(libssh2_agent_free(agent));
  if (libssh2_agent_list_identities(agent) != 0) return false;
  struct libssh2_agent_publickey* key = nullptr;
  while (libssh2_agent_get_identity(agent, &key, key) == 0) {
    keys.push_back({std::string(reinterpret_cast<char*>(key->blob), key->blob_len),
                    key->comment == nullptr ? "" : key->comment});
  }
  return true;
}

}  // namespace pibrain
