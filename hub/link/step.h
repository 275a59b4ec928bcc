#pragma once

namespace pibrain {

// The program that speaks SSH for a connection.
enum class SshClient { LIBSSH2, OPENSSH };

// The steps of connecting, in order; each has its own ConnectTimeout.
enum class SshStep { NAME, TCP, GREETING, KEY_EXCHANGE, HOST_KEY, LOGIN, COMMAND };

// Returns a name for people: "name", "connection", "greeting", …
const char* nameOf(SshStep step);

}  // namespace pibrain
