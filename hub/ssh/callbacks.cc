#include "hub/ssh/callbacks.h"

#include <libssh2.h>

namespace pibrain {

namespace {

template <typename Callback>
void set(LIBSSH2_SESSION* session, int type, Callback* callback) {
#if LIBSSH2_VERSION_NUM >= 0x010b01
  libssh2_session_callback_set2(session, type, reinterpret_cast<libssh2_cb_generic*>(callback));
#else
  libssh2_session_callback_set(session, type, reinterpret_cast<void*>(callback));
#endif
}

}  // namespace

void setCallbacks(LIBSSH2_SESSION* session, ReceiveCallback* receive, SendCallback* send,
                  DisconnectCallback* disconnect) {
  set(session, LIBSSH2_CALLBACK_RECV, receive);
  set(session, LIBSSH2_CALLBACK_SEND, send);
  if (disconnect != nullptr) set(session, LIBSSH2_CALLBACK_DISCONNECT, disconnect);
}

void setDebugCallback(LIBSSH2_SESSION* session, DebugCallback* debug) {
  set(session, LIBSSH2_CALLBACK_DEBUG, debug);
}

}  // namespace pibrain
