#include "hub/ssh/connect-failures.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <sys/socket.h>

#include "common/text/escape.h"
#include "hub/base/failure.h"
#include "hub/base/own-command.h"
#include "hub/ssh/invocation.h"

namespace pibrain {

namespace {

std::string firstLine(std::string_view text) {
  return escapeForTerminal(elideMiddle(withoutFullStop(text.substr(0, text.find('\n'))), 60));
}

std::string inParentheses(std::string_view said) {
  return said.empty() ? "" : absl::StrCat(" (the server said: ", firstLine(said), ")");
}

// Turns "the system said: …" or "ssh said: …" into a sentence.
std::string asSentence(std::string words) {
  if (words.starts_with("the ")) words[0] = 'T';
  return withoutFullStop(words) + ".";
}

Fix tryByHand(const SshTarget& target) {
  return {"Check how far ssh gets", sshInvocation(target) + " -v true"};
}

std::string seconds(const SshTarget& target) {
  return absl::StrCat(target.connectTimeout, " s (ConnectTimeout)");
}

Failure turnedAway(const SshTarget& target, std::string_view said) {
  return Failure(FailureId::SERVER_BUSY,
                 absl::StrCat(addressOf(target), " closed the connection before its SSH greeting",
                              inParentheses(said), ", several times"),
                 "A server turns connections away for a while if there are too many (MaxStartups "
                 "in its sshd_config), or after refused keys (PerSourcePenalties, fail2ban).",
                 {{"Sync fewer spokes at a time", ownCommand("sync run --jobs 1")},
                  {"If that does not help, check whether another program uses that port",
                   absl::StrCat("nc ", escapeForTerminal(target.host), " ", target.port)}});
}

Failure notSsh(const SshTarget& target, std::string_view said) {
  auto line = firstLine(said);
  auto began = line.empty()      ? std::string("an empty line")
               : line == NO_TEXT ? line
                                 : absl::StrCat("'", line, "'");
  return Failure(FailureId::NOT_AN_SSH_SERVER,
                 absl::StrCat("the program at ", addressOf(target), " is not an SSH server"),
                 absl::StrCat("Its first line is ", began, "."),
                 {{"Check HostName and Port in ~/.ssh/config", ""}});
}

Failure noGreetingInTime(const SshTarget& target) {
  bool jump = !target.proxyJump.empty();
  if (jump || !target.proxyCommand.empty()) {
    return Failure(
        FailureId::LOGIN_TIMEOUT,
        absl::StrCat("no SSH greeting from ", addressOf(target), " arrived through its ",
                     jump ? "ProxyJump " + escapeForTerminal(target.proxyJump) : "ProxyCommand",
                     " within ", seconds(target)),
        "", {tryByHand(target)});
  }
  return Failure(
      FailureId::LOGIN_TIMEOUT,
      absl::StrCat(addressOf(target), " accepted the connection, but sent no SSH greeting within ",
                   seconds(target)),
      "The machine may be asleep or very busy, or another program may use that port.",
      {tryByHand(target)});
}

}  // namespace

Failure unresolvedName(const SshTarget& target, const std::string& why) {
  auto host = escapeForTerminal(target.host);
  if (target.addressFamily != AF_UNSPEC) {
    bool six = target.addressFamily == AF_INET6;
    return Failure(FailureId::NAME_NOT_RESOLVED,
                   absl::StrCat(host, " has no ", six ? "IPv6" : "IPv4", " address"),
                   absl::StrCat(asSentence(why), " 'AddressFamily ", six ? "inet6" : "inet",
                                "' in the ssh configuration allows no other family."),
                   {{"Remove AddressFamily from the ssh configuration, or set a HostName that has "
                     "such an address",
                     ""}});
  }
  return Failure(
      FailureId::NAME_NOT_RESOLVED, absl::StrCat("the host name ", host, " cannot be resolved"),
      asSentence(why),
      {{"Check what the system knows of the host", "getent hosts " + host},
       {"Check the spelling of the host, or add it to ~/.ssh/config with the right HostName", ""}});
}

Failure connectionRefused(const SshTarget& target) {
  return Failure(
      FailureId::CONNECTION_REFUSED, absl::StrCat("connection refused by ", addressOf(target)),
      "The machine is up, but no SSH server listens at that port.",
      {{"On the spoke, start the SSH server (the service may be called sshd)",
        "sudo systemctl start ssh"},
       target.portGiven ? Fix{"If the port is wrong, correct the spoke's port", ""}
                        : Fix{"If the port is wrong, correct Port in ~/.ssh/config; this shows it",
                              sshInvocation(target) + " -G | grep ^port"}});
}

Failure noAnswer(const SshTarget& target) {
  return Failure(
      FailureId::NO_ANSWER,
      absl::StrCat("no answer from ", addressOf(target), " within ", target.connectTimeout, " s"),
      "The machine is off, asleep or behind a firewall.",
      {{"Check whether the machine answers", "ping -c 3 " + escapeForTerminal(target.host)},
       {"On the spoke, check what its firewall allows", "sudo ufw status"}});
}

Failure unreachable(const SshTarget& target, const std::string& why) {
  return Failure(FailureId::UNREACHABLE, "cannot reach " + addressOf(target), asSentence(why),
                 {{"Check the network and the host name", sshInvocation(target) + " -v true"}});
}

Failure unusableBindAddress(const SshTarget& target) {
  return Failure(
      FailureId::UNREACHABLE, "cannot reach " + addressOf(target),
      absl::StrCat("BindAddress ", escapeForTerminal(target.bindAddress),
                   " cannot be used for this connection."),
      {{"Correct BindAddress in the ssh configuration; this shows this machine's addresses",
        "ip -br address"}});
}

Failure tookTooLong(const SshTarget& target, SshStep step) {
  auto host = escapeForTerminal(target.host);
  auto failure = [&](const std::string& what, const std::string& cause) {
    return Failure(FailureId::LOGIN_TIMEOUT, what, cause, {tryByHand(target)});
  };
  switch (step) {
    case SshStep::NAME:
      return Failure(
          FailureId::LOGIN_TIMEOUT,
          absl::StrCat("the name server did not say within ", seconds(target), " what address ",
                       host, " has"),
          "",
          {{"Ask the name server again", "getent hosts " + host},
           {"Otherwise, set an address as HostName in ~/.ssh/config, which needs no name server",
            ""}});
    case SshStep::TCP:
      return noAnswer(target);
    case SshStep::GREETING:
      return noGreetingInTime(target);
    case SshStep::KEY_EXCHANGE:
    case SshStep::HOST_KEY:
      return failure(absl::StrCat(addressOf(target),
                                  " sent its greeting, but the key exchange took longer than ",
                                  seconds(target)),
                     "The machine or the network may be very busy.");
    case SshStep::LOGIN:
      return failure(
          absl::StrCat("the login at ", addressOf(target), " took longer than ", seconds(target)),
          "sshd may be waiting for a name server ('UseDNS no' in its sshd_config avoids that) or "
          "for PAM.");
    case SshStep::COMMAND:
      break;
  }
  return failure(absl::StrCat("the login at ", addressOf(target),
                              " worked, but the command did not start within ", seconds(target)),
                 "");
}

Failure brokeOff(const SshTarget& target, SshStep step, const std::string& why) {
  return Failure(
      FailureId::CONNECTION_LOST,
      absl::StrCat("the SSH connection to ", addressOf(target), " was lost at the step '",
                   nameOf(step), "': ", withoutFullStop(escapeForTerminal(why))),
      step == SshStep::COMMAND ? absl::StrCat("If it happens each time: ", WHY_CUT_AFTER_LOGIN, ".")
                               : "",
      {tryByHand(target)});
}

Failure nothingInCommon(const SshTarget& target, const std::string& said) {
  return Failure(
      FailureId::NO_COMMON_ALGORITHM,
      absl::StrCat("the SSH server at ", addressOf(target),
                   " and this machine have no common algorithm for part of the connection"),
      absl::StrCat(said, "."),
      {{"Allow the server's algorithms in ~/.ssh/config (KexAlgorithms, Ciphers, MACs, "
        "HostKeyAlgorithms), or upgrade the older machine",
        ""}});
}

bool turnsAway(std::string_view said) {
  // These are sshd's messages for MaxStartups and PerSourcePenalties; other servers send nothing.
  return said.empty() || said.find("Exceeded MaxStartups") != said.npos ||
         said.find("Not allowed at this time") != said.npos;
}

Failure noGreeting(const SshTarget& target, std::string_view said) {
  if (turnsAway(said)) return turnedAway(target, said);
  // This is tcpd's message (hosts_options(5)).
  if (said.find("not welcome") != said.npos) {
    return Failure(
        FailureId::ADDRESS_NOT_ALLOWED,
        absl::StrCat(addressOf(target), " accepts no connections from this machine's address",
                     inParentheses(said)),
        "On the spoke, /etc/hosts.allow and /etc/hosts.deny decide who can connect.",
        {{"On the spoke, add 'sshd: ADDRESS', with this machine's address, to /etc/hosts.allow",
          ""}});
  }
  return notSsh(target, said);
}

bool isOldGreeting(std::string_view greeting) {
  // A server that speaks both versions announces 1.99 (RFC 4253, section 5.1).
  return greeting.starts_with("SSH-1.") && !greeting.starts_with("SSH-1.99");
}

Failure tooOldServer(const SshTarget& target, const std::string& whole) {
  // Without the program's name, which OpenSSH's client does not report in the same form.
  auto greeting = whole.substr(0, whole.find('-', whole.find('-') + 1));
  return Failure(
      FailureId::NO_COMMON_ALGORITHM,
      absl::StrCat("the server at ", addressOf(target), " speaks only SSH 1 (", greeting, ")"),
      "SSH 1 is insecure, and neither ssh nor pi-brain supports it.",
      {{"Upgrade the SSH server", ""}});
}

Failure noSession(const SshTarget& target, const std::string& why) {
  return Failure(FailureId::SESSION_REFUSED,
                 absl::StrCat("the login at ", escapeForTerminal(target.alias),
                              " worked, but the server refused to open a session for the command"),
                 absl::StrCat("The server said: ", withoutFullStop(why), "."),
                 {{"On the spoke, check that MaxSessions in its sshd_config is at least 1",
                   "sudo sshd -T | grep -i maxsessions"}});
}

Failure commandRefused(const std::string& place, const std::string& why) {
  return Failure(
      FailureId::COMMAND_REFUSED,
      absl::StrCat("the login at ", place,
                   " worked, but the SSH server refused to start the command"),
      absl::StrCat("The server may have no processes, memory or open files left. It said: ",
                   withoutFullStop(why), "."),
      {{"See what the SSH server logged, on the spoke", "sudo journalctl -u ssh -n 50"}});
}

bool saysCommandRefused(const std::string& errors) {
  return absl::StrContains(errors, "exec request failed on channel ");
}

}  // namespace pibrain
