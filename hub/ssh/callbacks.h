#pragma once

#include <sys/types.h>

typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// LIBSSH2_RECV_FUNC and LIBSSH2_SEND_FUNC of libssh2.h.
using ReceiveCallback = ssize_t(int socket, void* buffer, size_t length, int flags,
                                void** abstract);
using SendCallback = ssize_t(int socket, const void* buffer, size_t length, int flags,
                             void** abstract);

// LIBSSH2_DISCONNECT_FUNC.
using DisconnectCallback = void(LIBSSH2_SESSION* session, int reason, const char* message,
                                int messageLength, const char* language, int languageLength,
                                void** abstract);

// Sets the session's functions for its socket, for the socket of an ssh-agent, and, unless null,
// for the peer's disconnect message.
void setCallbacks(LIBSSH2_SESSION* session, ReceiveCallback* receive, SendCallback* send,
                  DisconnectCallback* disconnect = nullptr);

// LIBSSH2_DEBUG_FUNC.
using DebugCallback = void(LIBSSH2_SESSION* session, int alwaysDisplay, const char* message,
                           int length, const char* language, int languageLength, void** abstract);

// Sets the function that receives the server's debug messages.
void setDebugCallback(LIBSSH2_SESSION* session, DebugCallback* debug);

}  // namespace pibrain
