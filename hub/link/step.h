#pragma once

namespace pibrain {

// The steps of connecting, in their order; each has ConnectTimeout for itself.
enum class SshStep { NAME, TCP, GREETING, KEY_EXCHANGE, HOST_KEY, LOGIN, COMMAND };

// For people: "name", "connection", "greeting", …
const char* nameOf(SshStep step);

}  // namespace pibrain
