#pragma once

namespace pibrain {

// Which program speaks SSH.
enum class SshMode {
  AUTO,  // libssh2, and OpenSSH's client for what libssh2 cannot do
  LIBSSH2,
  OPENSSH,
};
const char* toString(SshMode mode);

}  // namespace pibrain
