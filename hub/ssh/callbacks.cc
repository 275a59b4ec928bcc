#include "hub/ssh/callbacks.h"

#include <libssh2.h>

namespace pibrain {

void setCallbacks(LIBSSH2_SESSION* session, ReceiveCallback* receive, SendCallback* send) {
#if LIBSSH2_VERSION_NUM >= 0x010b01
  libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_RECV,
                                reinterpret_cast<libssh2_cb_generic*>(receive));
  libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_SEND,
                                reinterpret_cast<libssh2_cb_generic*>(send));
#else
  libssh2_session_callback_set(session, LIBSSH2_CALLBACK_RECV, reinterpret_cast<void*>(receive));
  libssh2_session_callback_set(session, LIBSSH2_CALLBACK_SEND, reinterpret_cast<void*>(send));
#endif
}

void setDebugCallback(LIBSSH2_SESSION* session, DebugCallback* debug) {
#if LIBSSH2_VERSION_NUM >= 0x010b01
  libssh2_session_callback_set2(session, LIBSSH2_CALLBACK_DEBUG,
                                reinterpret_cast<libssh2_cb_generic*>(debug));
#else
  libssh2_session_callback_set(session, LIBSSH2_CALLBACK_DEBUG, reinterpret_cast<void*>(debug));
#endif
}

}  // namespace pibrain
