#include "hub/ssh/libssh2/algorithms.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <libssh2.h>

#include <algorithm>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/ssh/libssh2/fall-back-to-openssh.h"

namespace pibrain {

namespace {

using Names = std::vector<std::string>;

// Fast and safe algorithms first; libssh2's own order begins with slow ones, and its other
// algorithms are outdated. Its ChaCha20, GCM and encrypt-then-MAC code, new in 1.11, comes last,
// because it has had security advisories.
const Names CIPHERS = {"aes128-ctr",
                       "aes256-ctr",
                       "aes192-ctr",
                       "aes256-gcm@openssh.com",
                       "aes128-gcm@openssh.com",
                       "chacha20-poly1305@openssh.com"};
const Names MACS = {"hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com",
                    "hmac-sha2-512-etm@openssh.com"};

bool contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Names supported(LIBSSH2_SESSION* session, int type) {
  const char** names = nullptr;
  int count = libssh2_session_supported_algs(session, type, &names);
  if (count <= 0) return {};
  Names result(names, names + count);
  libssh2_free(session, names);
  return result;
}

// Returns those of `wanted` that are in `allowed`; all, if `allowed` is empty.
Names intersect(const Names& wanted, const Names& allowed) {
  if (allowed.empty()) return wanted;
  Names result;
  for (auto& name : wanted) {
    if (contains(allowed, name)) result.push_back(name);
  }
  return result;
}

// Returns the types of the known keys. Those of the standard port only come first, since another
// machine may be behind it.
Names hostKeyTypes(const SshTarget& target, const KnownTarget& known) {
  auto names = knownAlgorithms(known.own);
  return names.empty() ? orderedHostKeyAlgorithms(target, known)
                       : intersect(names, target.hostKeyAlgorithms);
}

class Chooser {
 public:
  Chooser(LIBSSH2_SESSION* session, const SshTarget& target, bool allowFallback)
      : session_(session), target_(target), allowFallback_(allowFallback) {}

  // `setting`: the setting with which the user may have limited the algorithms.
  void prefer(std::initializer_list<int> types, const Names& wanted, const char* setting) {
    auto names = intersect(wanted, supported(session_, *types.begin()));
    if (names.empty()) nothing(setting);
    auto list = absl::StrJoin(names, ",");
    for (int type : types) libssh2_session_method_pref(session_, type, list.c_str());
  }

  Names supportedNames(int type) const { return supported(session_, type); }

 private:
  [[noreturn]] void nothing(const char* setting) {
    auto why =
        absl::StrCat("libssh2 ", libssh2_version(0), " has no algorithm in common with ", setting);
    if (allowFallback_) throw FallBackToOpenssh(why, {});
    throw Failure(FailureId::NO_COMMON_ALGORITHM,
                  absl::StrCat(why, " of ", escapeForTerminal(target_.alias)), "",
                  {{"Use OpenSSH's client: set 'ssh: openssh' for this spoke in the config", ""}});
  }

  LIBSSH2_SESSION* session_;
  const SshTarget& target_;
  bool allowFallback_;
};

}  // namespace

void negotiableAlgorithms(LIBSSH2_SESSION* session, const SshTarget& target,
                          const KnownTarget& known, bool allowFallback) {
  Chooser chooser(session, target, allowFallback);
  chooser.prefer({LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC},
                 intersect(CIPHERS, target.ciphers), "Ciphers");
  chooser.prefer({LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC}, intersect(MACS, target.macs),
                 "MACs");
  auto kex = chooser.supportedNames(LIBSSH2_METHOD_KEX);
  // Without an ssh configuration: no SHA-1.
  if (target.kexAlgorithms.empty())
    std::erase_if(kex, [](auto& n) { return n.ends_with("-sha1"); });
  chooser.prefer({LIBSSH2_METHOD_KEX}, intersect(kex, target.kexAlgorithms), "KexAlgorithms");
  auto types = hostKeyTypes(target, known);
  bool isKnown = !knownAlgorithms(known.own).empty();
  if (types.empty() && !isKnown) return;  // without an ssh client: libssh2's defaults
  chooser.prefer(
      {LIBSSH2_METHOD_HOSTKEY}, types,
      !isKnown ? "HostKeyAlgorithms" : "the host's keys in known_hosts (or HostKeyAlgorithms)");
}

}  // namespace pibrain
