#include "hub/ssh/auth-failure.h"
#include "hub/ssh/connect-failures.h"
#include "hub/ssh/invocation.h"
#include "hub/ssh/openssh-errors.h"

#include <gtest/gtest.h>

#include "hub/ssh/openssh/failed-start.h"
#include "hub/ssh/openssh/login-watch.h"

namespace pibrain {
namespace {

SshTarget laptop() {
  SshTarget target;
  target.alias = "laptop";
  target.host = "laptop.example";
  target.user = "me";
  target.port = 2222;
  target.userKnownHostsFiles = {"/no/such/known_hosts"};
  return target;
}

bool has(const Failure& failure, const std::string& words) {
  return std::string(failure.what()).find(words) != std::string::npos;
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Failures, messagesOfOpenssh) {
  struct Case {
    std::string errors;
    std::vector<std::string> expected;
  };
  for (auto& [errors, expected] : std::vector<Case>{
           {"ssh: Could not resolve hostname laptop.example: Name or service not known\r\n",
            {"laptop.example cannot be resolved", "Name or service not known", "getent hosts"}},
           {"ssh: connect to host laptop.example port 2222: Connection refused\r\n",
            {"connection refused by laptop.example port 2222", "systemctl start ssh"}},
           {"ssh: connect to host laptop.example port 2222: Connection timed out\r\n",
            {"no answer from laptop.example port 2222 within 15 s", "ping -c 3 laptop.example"}},
           {"Connection timed out during banner exchange\r\n",
            {"sent no SSH greeting within 15 s"}},
           {"Unable to negotiate with 192.0.2.1 port 2222: no matching cipher found. Their offer: "
            "x\r\n",
            {"no common algorithm", "no matching cipher found", "Ciphers"}},
           {"debug1: kex_exchange_identification: banner line 0: HTTP/1.1 400 Bad\r\n"
            "kex_exchange_identification: Connection closed by remote host\r\n",
            {"is not an SSH server", "HTTP/1.1 400 Bad"}},
           {"debug1: kex_exchange_identification: banner line 0: Not allowed at this time\r\n"
            "kex_exchange_identification: Connection closed by remote host\r\n",
            {"closed the connection before its SSH greeting", "Not allowed at this time",
             "PerSourcePenalties"}},
           {"sign_and_send_pubkey: signing failed for ED25519 \"/k\" from agent: agent refused "
            "operation\r\nme@laptop.example: Permission denied (publickey).\r\n",
            {"no key can be used to log in as me@laptop", "accepts /k",
             "ssh-agent refused to sign"}},
           {"Authenticated using \"publickey\" with partial success.\r\nme@laptop.example: "
            "Permission "
            "denied (password).\r\n",
            {"accepted the key, but also wants: password", "AuthenticationMethods publickey"}},
           {"ssh: connect to host laptop.example port 2222: No route to host\r\n",
            {"cannot reach laptop.example", "No route to host"}},
           {"connect to host laptop.example port 2222: Network is unreachable\r\n",
            {"cannot reach laptop.example", "Network is unreachable"}},
           {"No ED25519 host key is known for [laptop.example]:2222 and you have requested strict "
            "checking.\r\nHost key verification failed.\r\n",
            {"host key verification failed", "[laptop.example]:2222 is not in known_hosts",
             "ssh-keyscan -p 2222 laptop.example"}},
           {"@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nThe "
            "fingerprint "
            "for the ED25519 key sent by the remote host is\r\nSHA256:abc/+123.\r\nHost key "
            "verification failed.\r\n",
            {"HOST KEY CHANGED", "shows SHA256:abc/+123, but", "ssh-keygen -R"}},
           {"Error checking host key ED25519 SHA256:abc in revoked keys file /r: No such file or "
            "directory\r\nHost key verification failed.\r\n",
            {"RevokedHostKeys names a file that ssh cannot use", "No such file"}},
           {"Host key ED25519 SHA256:abc revoked by file /r\r\nHost key verification failed.\r\n",
            {"HOST KEY REVOKED"}},
           {"me@laptop.example: Permission denied (publickey).\r\n",
            {"permission denied for me@laptop", "authorized_keys"}},
           {"Received disconnect from 192.0.2.1: Too many authentication failures\r\n",
            {"permission denied for me@laptop", "Too many", "MaxAuthTries"}},
           {"kex_exchange_identification: Connection closed by remote host\r\n",
            {"laptop.example port 2222 closed the connection before its SSH greeting",
             "MaxStartups", "--jobs"}},
           {"kex_exchange_identification: Connection closed by remote host\r\ndebug1: x\r\n"
            "Transferred: sent 1, received 2 bytes, in 0.0 seconds\r\nBytes per second: sent "
            "1.0\r\n",
            {"MaxStartups",
             "ssh said: kex_exchange_identification: Connection closed by remote host."}},
           {"debug1: kex_exchange_identification: banner line 0: \r\n"
            "kex_exchange_identification: Connection closed by remote host\r\n",
            {"is not an SSH server. Its first line is an empty line."}},
           {"kex_exchange_identification: banner line contains invalid characters\r\n"
            "banner exchange: Connection to 192.0.2.1 port 2222: invalid format\r\n",
            {"is not an SSH server. Its first line is bytes that are not text."}},
           {"debug1: kex_exchange_identification: banner line 0: You are not welcome to use sshd "
            "from 192.0.2.9.\r\nkex_exchange_identification: Connection closed by remote host\r\n",
            {"accepts no connections from this machine's address", "/etc/hosts.allow"}},
           {"debug1: Connection established.\r\nConnection reset by 192.0.2.1 port 2222\r\n",
            {"closed the connection before its SSH greeting", "MaxStartups"}},
           {"debug1: Connection established.\r\ndebug1: Remote protocol version 2.0, x\r\n"
            "Connection reset by 192.0.2.1 port 2222\r\n",
            {"ssh could not connect to laptop.example port 2222", "Connection reset by"}},
           {"ssh: connect to host laptop.example port 2222: Connection reset by peer\r\n",
            {"closed the connection before its SSH greeting", "MaxStartups"}},
           {"debug1: Remote protocol version 1.5, remote software version x\r\nProtocol major "
            "versions differ: 2 vs. 1\r\n",
            {"speaks only SSH 1 (SSH-1.5)", "Upgrade"}},
           {"Certificate invalid: expired\r\nNo ED25519 host key is known for laptop.example and "
            "you have requested strict checking.\r\nHost key verification failed.\r\n",
            {"shows a host certificate that is not valid: expired. Ask its authority"}},
           {"debug1: Server host key: ssh-rsa SHA256:abc\r\nNo RSA host key is known for x and you "
            "have requested strict checking.\r\nHost key verification failed.\r\n",
            {"It shows SHA256:abc (ssh-rsa). ",
             "On laptop, print its host key, and compare it with that: "
             "'ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub'"}},
           {"debug1: Offering public key: /a key ED25519 SHA256:abc explicit\r\n"
            "me@laptop.example: Permission denied (password,keyboard-interactive).\r\n",
            {"does not accept a key for this login, or not as the first method. It wants: "
             "password,keyboard-interactive",
             "'sudo sshd -T -C user=me'"}},
           {"debug1: Offering public key: /a key ED25519 SHA256:abc explicit\r\n"
            "me@laptop.example: Permission denied (publickey,password).\r\n",
            {"Tried: /a key was refused. ssh said: me@laptop.example: Permission denied "
             "(publickey,password). Put the key's line into ~/.ssh/authorized_keys"}},
           {"debug1: kex_input_ext_info: server-sig-algs=<ssh-ed25519,rsa-sha2-512>\r\n"
            "debug1: kex_ext_info_client_parse: server-sig-algs=<rsa-sha2-512,rsa-sha2-256>\r\n"
            "debug1: Offering public key: /k ED25519 SHA256:abc explicit\r\n"
            "me@laptop.example: Permission denied (publickey).\r\n",
            {"Add the type ED25519 to PubkeyAcceptedAlgorithms in the spoke's sshd_config"}},
           {"debug1: server-sig-algs=<rsa-sha2-512>\r\n"
            "debug1: Offering public key: /k ED25519 SHA256:abc explicit\r\n"
            "debug1: Offering public key: /r RSA SHA256:abc explicit\r\n"
            "me@laptop.example: Permission denied (publickey).\r\n",
            {"/k was refused; /r was refused", "into ~/.ssh/authorized_keys"}},
           {"debug1: x\r\nme@laptop.example: Permission denied (publickey).\r\n",
            {"Name the key to offer as IdentityFile in ~/.ssh/config on the hub."}},
           {"debug1: Offering public key: /k ED25519 SHA256:abc explicit\r\nReceived disconnect "
            "from "
            "192.0.2.1 port 2222:2: Too many authentication failures\r\nDisconnected from "
            "192.0.2.1 port 2222\r\n",
            {"/k was refused", "Too many authentication failures",
             "Offer only the right key, because sshd accepts no more attempts in one login "
             "(MaxAuthTries"
             " in its sshd_config)"}},
           {"", {"ssh could not connect", "ssh said nothing"}},
       }) {
    auto message = explainOpenssh(laptop(), errors, AuthFailure());
    EXPECT_FALSE(has(message, "..")) << message.what();
    EXPECT_FALSE(has(message, "Transferred")) << message.what();
    for (auto& words : expected) EXPECT_TRUE(has(message, words)) << message.what();
    EXPECT_FALSE(has(message, "\n")) << message.what();
    EXPECT_FALSE(has(message, "\r")) << message.what();
  }
}

TEST(Failures, howToAddAKey) {
  auto target = laptop();
  EXPECT_EQ(addHostKey(target, "Add it"),
            (Fix{"Add it", "ssh-keyscan -p 2222 laptop.example >> /no/such/known_hosts"}));
  target.hostKeyAlias = "alias";
  EXPECT_TRUE(has(addHostKey(target, "").command, "laptop.example | sed 's/^[^ ]*/alias/' >> "));
  target.proxyJump = "hop";
  target.configFile = "/my config";
  EXPECT_EQ(addHostKey(target, "Add it"),
            (Fix{"Add it by connecting once by hand", "ssh -F '/my config' -l me laptop"}));
  target.key = "/its key";
  EXPECT_EQ(sshInvocation(target), "ssh -F '/my config' -i '/its key' -l me laptop");
  EXPECT_EQ(sshInvocation(SshRequest{"box"}), "ssh box");
  target.userKnownHostsFiles.clear();
  EXPECT_TRUE(has(addHostKey(target, "").text, "set a UserKnownHostsFile"));
}

TEST(Failures, controlCharactersDoNotReachTheTerminal) {
  Failure message = explainOpenssh(laptop(), "evil \x1b[2J words\r\n", AuthFailure());
  EXPECT_FALSE(has(message, "\x1b")) << message.what();
  EXPECT_TRUE(has(message, "evil")) << message.what();
}

TEST(Failures, longOutputIsCutToItsEnd) {
  auto words = stderrTail("first\nsecond\n" + std::string(10'000, 'x') + "\nlast but one\nlast\n");
  EXPECT_LT(words.size(), 500u);
  EXPECT_TRUE(words.ends_with("last but one / last")) << words;
}

// What ssh says about a proxy concerns the proxy.
TEST(Failures, failuresOfProxies) {
  auto target = laptop();
  target.proxyCommand = "nc %h %p";
  std::string begins = "debug1: Executing proxy command: exec nc x 1\r\n";
  std::string ends =
      "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by "
      "UNKNOWN port 65535\r\n";
  Failure message = explainFailedStart(target, begins + "no way\r\n" + ends, AuthFailure());
  EXPECT_TRUE(has(message, "the ProxyCommand of laptop ended before")) << message.what();
  EXPECT_TRUE(has(message,
                  "The proxy said: no way. Run the ProxyCommand by hand; it must print the SSH "
                  "server's greeting: 'nc "
                  "laptop.example 2222'."))
      << message.what();
  EXPECT_FALSE(has(message, "UNKNOWN") || has(message, "kex_exchange")) << message.what();
  target.proxyCommand.clear();
  target.proxyJump = "hop";
  target.configFile = "/dev/null";
  message = explainProxy(target, "me@hop: Permission denied (publickey).\r\n");
  EXPECT_EQ(message.id(), FailureId::PERMISSION_DENIED);
  EXPECT_TRUE(has(message, "authorized_keys on hop")) << message.what();
  EXPECT_TRUE(has(message, "'ssh-copy-id -F /dev/null -i KEY.pub ")) << "the agent is not on a hop";
  target = laptop();
  target.proxyCommand = "nc %h %p";
  // After the target's greeting, it concerns the target.
  message = explainFailedStart(
      target,
      begins + "debug1: Remote protocol version 2.0, remote software version x\r\n" +
          "Host key verification failed.\r\n",
      AuthFailure());
  EXPECT_TRUE(message.summary().starts_with("host key verification failed: ")) << message.what();
}

TEST(Failures, failuresAfterTheLogin) {
  auto target = laptop();
  std::string login =
      "debug1: Connecting to x\r\nAuthenticated to laptop.example ([192.0.2.1]:22) "
      "using \"publickey\".\r\ndebug1: Entering interactive session.\r\n";
  Failure message = explainFailedStart(
      target,
      login + "channel 0: open failed: connect failed: open failed\r\nTransferred: sent 1\r\n",
      AuthFailure());
  EXPECT_TRUE(
      has(message,
          "refused to open a session for the command. The server said: channel 0: open failed"))
      << message.what();
  EXPECT_TRUE(has(message, "MaxSessions")) << message.what();
  EXPECT_FALSE(has(message, "Transferred")) << message.what();
  message =
      explainFailedStart(target, login + "Connection closed by remote host\r\n", AuthFailure());
  EXPECT_TRUE(has(message, "was lost at the step 'command': ssh said: Connection closed"))
      << message.what();
  EXPECT_TRUE(has(message, "ChrootDirectory")) << message.what();

  LoginWatch watch(target);
  EXPECT_FALSE(watch.begun(""));
  EXPECT_FALSE(watch.begun(login));
  EXPECT_TRUE(has(watch.tookTooLong(login), "worked, but the command did not start within 15 s"));
  EXPECT_TRUE(watch.begun(login + "debug1: Sending command: x\r\n"));
  EXPECT_TRUE(
      LoginWatch(target).begun("debug1: mux_client_request_session: master session id: 2\r\n"));
  // The last output of a command may lack a line end.
  EXPECT_EQ(
      withoutTales("a\nbdebug1: client_input_channel_req: channel 0 rtype exit-status reply 0\n"
                   "debug1: c\nTransferred: x\n"),
      "a\nb\n");
}

TEST(Failures, denialNamesTheMethodsTried) {
  AuthFailure authFailure;
  authFailure.tried = {"/k/one was refused", "/k/two is locked"};
  authFailure.encrypted = {"/k/t wo"};
  authFailure.offered = true;
  auto message = permissionDenied(laptop(), authFailure);
  EXPECT_TRUE(has(message, "Tried: /k/one was refused; /k/two is locked.")) << message.what();
  EXPECT_TRUE(has(message, "'ssh-add '/k/t wo''")) << message.what();
  EXPECT_TRUE(has(permissionDenied(laptop(), {}), "There is no key to offer"));
}

}  // namespace
}  // namespace pibrain
