#include "spoke-agent/setup/authorized-keys.h"

#include <kj/debug.h>
#include <kj/exception.h>

#include "common/text/escape.h"
#include "common/text/login-shell.h"

namespace pibrain {

namespace {

[[noreturn]] void refuse(const std::string& why) {
  kj::throwFatalException(
      kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__, kj::heapString(why.c_str())));
  KJ_UNREACHABLE;
}

// Checks a value for from="…". In it, \" is a quote to OpenSSH, and two characters to dropbear.
std::string quotedPatterns(const std::string& from) {
  if (from.find_first_of(std::string("\n\r\0", 3)) != std::string::npos) {
    refuse("--from contains a line break, which authorized_keys cannot hold.");
  }
  if (from.find_first_of("\"\\") != std::string::npos) {
    refuse("--from contains a quote or a backslash, which no address has.");
  }
  return "\"" + from + "\"";
}

// Without quotes, because login shells read them in different ways.
std::string commandOf(const std::string& agent, const std::string& home, const std::string& root,
                      const std::vector<std::string>& exclude) {
  if (agent.empty()) {
    refuse("The path of this program cannot be determined. Start it by its full path.");
  }
  auto command = commandFor(agent, home);
  if (command.empty()) {
    refuse("The path of this program, " + inQuotes(agent) +
           ", needs quotes, which login shells read in different ways. Put it where the path has "
           "only letters, digits and _ . / , @ % + : -, for example into /usr/local/bin.");
  }
  command += " " + rootOption(root);
  for (auto& pattern : exclude) command += " " + excludeOption(pattern);
  return command;
}

bool isKeyType(const std::string& word) {
  return word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-");
}

}  // namespace

std::string authorizedKeysLine(const std::string& publicKey, const std::string& agent,
                               const std::string& home, const std::string& root,
                               const std::vector<std::string>& exclude, const std::string& from) {
  if (publicKey.find("PRIVATE KEY") != std::string::npos) {
    refuse("This is a private key. Give the public half, the file that ends in .pub.");
  }
  auto end = publicKey.find_first_of("\r\n");
  auto key = publicKey.substr(0, end);
  auto space = key.find(' ');
  if (space == std::string::npos || !isKeyType(key.substr(0, space)) ||
      key.compare(space + 1, 4, "AAAA") != 0) {
    refuse(
        "This is not an OpenSSH public key, which is a line such as 'ssh-ed25519 AAAA… comment'. "
        "'ssh-keygen -y -f KEY' prints the public half of a private key.");
  }
  if (end != std::string::npos && publicKey.find_first_not_of("\r\n", end) != std::string::npos) {
    refuse("The file has more than one line. A public key is one line.");
  }
  std::string options = "restrict";
  if (!from.empty()) options += ",from=" + quotedPatterns(from);
  return options + ",command=\"" + commandOf(agent, home, root, exclude) + "\" " + key;
}

}  // namespace pibrain
