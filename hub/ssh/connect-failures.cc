#include "hub/ssh/connect-failures.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <sys/socket.h>

#include "common/text/escape.h"
#include "hub/ssh/invocation.h"

namespace pibrain {

namespace {

std::string firstLine(std::string_view text) {
  return escapeForTerminal(elideMiddle(withoutFullStop(text.substr(0, text.find('\n'))), 60));
}

std::string turnedAway(const SshTarget& target, std::string_view said) {
  return absl::StrCat(
      addressOf(target), " closed the connection before its SSH greeting",
      said.empty() ? "" : absl::StrCat(" (it said: ", firstLine(said), ")"),
      ", several times. Servers turn connections away for a while when there are too many "
      "(MaxStartups in its sshd_config), or after refused keys (PerSourcePenalties, fail2ban). It "
      "passes by itself; --jobs makes fewer at a time. If it does not pass, another program may "
      "hold that port: 'nc ",
      escapeForTerminal(target.host), " ", target.port, "' shows its greeting.");
}

std::string notSsh(const SshTarget& target, std::string_view said) {
  auto line = firstLine(said);
  auto began = line.empty()      ? std::string("an empty line")
               : line == NO_TEXT ? line
                                 : absl::StrCat("'", line, "'");
  return absl::StrCat("what listens at ", addressOf(target), " is no SSH server: it began with ",
                      began, ". Check HostName and Port in ~/.ssh/config.");
}

}  // namespace

std::string unresolvedName(const SshTarget& target, const std::string& why) {
  auto host = escapeForTerminal(target.host);
  if (target.addressFamily != AF_UNSPEC) {
    bool six = target.addressFamily == AF_INET6;
    return absl::StrCat(host, " has no ", six ? "IPv6" : "IPv4",
                        " address, or none is known: ", why, ". 'AddressFamily ",
                        six ? "inet6" : "inet",
                        "' in the ssh configuration allows no other: remove it there, or write a "
                        "HostName that has one.");
  }
  return absl::StrCat("the host name ", host, " cannot be resolved: ", why,
                      ". Check the spelling in 'source', or add the host to ~/.ssh/config with a "
                      "HostName that works; 'getent hosts ",
                      host, "' shows what the system knows.");
}

std::string connectionRefused(const SshTarget& target) {
  return absl::StrCat("connection refused by ", addressOf(target),
                      ". The machine is up, but no SSH server listens there. Start it there "
                      "with 'sudo systemctl start ssh' (or sshd), and check the port with '",
                      sshInvocation(target), " -G | grep ^port'.");
}

std::string noAnswer(const SshTarget& target) {
  return absl::StrCat("no answer from ", addressOf(target), " within ", target.connectTimeout,
                      " s. The machine is off, asleep or behind a firewall. Try 'ping ",
                      escapeForTerminal(target.host),
                      "' and, there, 'sudo ufw status' or 'sudo firewall-cmd --list-all'.");
}

std::string unreachable(const SshTarget& target, const std::string& why) {
  return absl::StrCat("cannot reach ", addressOf(target), ": ", why,
                      ". Check the network and the host name with '", sshInvocation(target),
                      " -v true'.");
}

std::string tookTooLong(const SshTarget& target, SshStep step) {
  auto seconds = absl::StrCat(target.connectTimeout, " s (ConnectTimeout)");
  auto look = absl::StrCat("Try '", sshInvocation(target), " -v true'.");
  switch (step) {
    case SshStep::NAME:
      return absl::StrCat("the name server did not say within ", seconds, " where ",
                          escapeForTerminal(target.host), " is. 'getent hosts ",
                          escapeForTerminal(target.host),
                          "' asks it again; an address as HostName in ~/.ssh/config does without "
                          "it.");
    case SshStep::TCP:
      return noAnswer(target);
    case SshStep::GREETING:
      if (!target.proxyCommand.empty() || !target.proxyJump.empty()) {
        return absl::StrCat("no SSH greeting of ", addressOf(target), " came through ",
                            target.proxyJump.empty() ? "its ProxyCommand" : "ProxyJump ",
                            escapeForTerminal(target.proxyJump), " within ", seconds, ". ", look);
      }
      return absl::StrCat(addressOf(target),
                          " took the connection, but sent no SSH greeting within ", seconds,
                          ". The machine may be very busy, or another program may hold that "
                          "port. ",
                          look);
    case SshStep::KEY_EXCHANGE:
    case SshStep::HOST_KEY:
      return absl::StrCat(addressOf(target), " greeted, but its key exchange took longer than ",
                          seconds, ". The machine or the network may be very busy. ", look);
    case SshStep::LOGIN:
      return absl::StrCat("the login at ", addressOf(target), " took longer than ", seconds,
                          ". sshd there may wait for a name server ('UseDNS no' in its "
                          "sshd_config) or for PAM. ",
                          look);
    case SshStep::COMMAND:
      return absl::StrCat("the login at ", addressOf(target),
                          " worked, but the command was not begun within ", seconds, ". ", look);
  }
  return "";
}

std::string brokeOff(const SshTarget& target, SshStep step, const std::string& why) {
  return absl::StrCat("the SSH connection to ", addressOf(target), " broke off at the step '",
                      nameOf(step), "': ", withoutFullStop(escapeForTerminal(why)), ". Try '",
                      sshInvocation(target), " -v true'.",
                      step == SshStep::COMMAND
                          ? absl::StrCat(" If it happens each time: ", WHY_CUT_AFTER_LOGIN, ".")
                          : "");
}

std::string nothingInCommon(const SshTarget& target, const std::string& said) {
  return absl::StrCat(
      "the SSH server at ", addressOf(target),
      " and this machine have no method in common for some part of the connection (", said,
      "). Allow what it offers in ~/.ssh/config (KexAlgorithms, Ciphers, MACs, HostKeyAlgorithms), "
      "or upgrade the older of the two.");
}

bool turnsAway(std::string_view said) {
  // sshd's words of MaxStartups and PerSourcePenalties; other ones say nothing.
  return said.empty() || said.find("Exceeded MaxStartups") != said.npos ||
         said.find("Not allowed at this time") != said.npos;
}

std::string noGreeting(const SshTarget& target, std::string_view said) {
  if (turnsAway(said)) return turnedAway(target, said);
  // As tcpd says it (hosts_options(5)).
  if (said.find("not welcome") != said.npos) {
    return absl::StrCat(
        addressOf(target),
        " takes no connection from this machine's address (it said: ", firstLine(said),
        "). On the spoke, /etc/hosts.allow and /etc/hosts.deny say who may "
        "connect: 'sshd: ADDRESS' in the first lets this machine in.");
  }
  return notSsh(target, said);
}

bool isOldGreeting(std::string_view greeting) {
  // One that speaks both calls itself 1.99 (RFC 4253, section 5.1).
  return greeting.starts_with("SSH-1.") && !greeting.starts_with("SSH-1.99");
}

std::string tooOldServer(const SshTarget& target, const std::string& greeting) {
  return absl::StrCat("the server at ", addressOf(target), " speaks SSH 1 only (", greeting,
                      "), which is broken and which neither ssh nor pi-brain speaks. Upgrade the "
                      "SSH server there.");
}

std::string noSession(const SshTarget& target, const std::string& why) {
  return absl::StrCat(
      "the login at ", escapeForTerminal(target.alias),
      " worked, but the server opened no session for the command (it said: ", withoutFullStop(why),
      "). MaxSessions in its sshd_config has to be 1 at least: 'sudo sshd -T | grep "
      "-i maxsessions' there shows it.");
}

}  // namespace pibrain
