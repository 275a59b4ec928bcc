#pragma once

#include <sys/types.h>

typedef struct _LIBSSH2_SESSION LIBSSH2_SESSION;

namespace pibrain {

// As LIBSSH2_RECV_FUNC and LIBSSH2_SEND_FUNC of libssh2.h.
using ReceiveCallback = ssize_t(int socket, void* buffer, size_t length, int flags,
                                void** abstract);
using SendCallback = ssize_t(int socket, const void* buffer, size_t length, int flags,
                             void** abstract);

// As LIBSSH2_DISCONNECT_FUNC.
using DisconnectCallback = void(LIBSSH2_SESSION* session, int reason, const char* message,
                                int messageLength, const char* language, int languageLength,
                                void** abstract);

// Gives the session functions of ours: to read and write its socket, and that of an ssh-agent,
// with, and, if there is one, to be told of the peer's leave.
void setCallbacks(LIBSSH2_SESSION* session, ReceiveCallback* receive, SendCallback* send,
                  DisconnectCallback* disconnect = nullptr);

// As LIBSSH2_DEBUG_FUNC.
using DebugCallback = void(LIBSSH2_SESSION* session, int alwaysDisplay, const char* message,
                           int length, const char* language, int languageLength, void** abstract);

// Is told what the server says for debugging.
void setDebugCallback(LIBSSH2_SESSION* session, DebugCallback* debug);

}  // namespace pibrain
