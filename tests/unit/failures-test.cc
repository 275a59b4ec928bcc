#include "hub/ssh/failures.h"

#include <gtest/gtest.h>

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

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Failures, whatOpensshSays) {
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
            {"no answer from laptop.example port 2222 within 15 s", "ping laptop.example"}},
           {"Connection timed out during banner exchange\r\n",
            {"sent no SSH greeting within 15 s"}},
           {"Unable to negotiate with 192.0.2.1 port 2222: no matching cipher found. Their offer: "
            "x\r\n",
            {"no method in common", "no matching cipher found", "Ciphers"}},
           {"debug1: kex_exchange_identification: banner line 0: HTTP/1.1 400 Bad\r\n"
            "kex_exchange_identification: Connection closed by remote host\r\n",
            {"is no SSH server", "HTTP/1.1 400 Bad"}},
           {"debug1: kex_exchange_identification: banner line 0: Not allowed at this time\r\n"
            "kex_exchange_identification: Connection closed by remote host\r\n",
            {"closed the connection before its SSH greeting", "Not allowed at this time",
             "PerSourcePenalties"}},
           {"sign_and_send_pubkey: signing failed for ED25519 \"/k\" from agent: agent refused "
            "operation\r\nme@laptop.example: Permission denied (publickey).\r\n",
            {"permission denied for me@laptop", "let /k in", "ssh-agent refused to sign"}},
           {"Authenticated using \"publickey\" with partial success.\r\nme@laptop.example: "
            "Permission "
            "denied (password).\r\n",
            {"accepted the key, and wants more: password", "AuthenticationMethods publickey"}},
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
            {"HOST KEY CHANGED", "shows SHA256:abc/+123 but", "ssh-keygen -R"}},
           {"Error checking host key ED25519 SHA256:abc in revoked keys file /r: No such file or "
            "directory\r\nHost key verification failed.\r\n",
            {"RevokedHostKeys names a file that ssh cannot use", "No such file"}},
           {"Host key ED25519 SHA256:abc revoked by file /r\r\nHost key verification failed.\r\n",
            {"HOST KEY REVOKED"}},
           {"me@laptop.example: Permission denied (publickey).\r\n",
            {"permission denied for me@laptop", "authorized_keys"}},
           {"Received disconnect from 192.0.2.1: Too many authentication failures\r\n",
            {"permission denied for me@laptop", "Too many"}},
           {"kex_exchange_identification: Connection closed by remote host\r\n",
            {"laptop.example port 2222 closed the connection before its SSH greeting",
             "MaxStartups", "--jobs"}},
           {"", {"ssh could not connect", "it said nothing"}},
       }) {
    auto message = explainOpenssh(laptop(), errors, Denial());
    for (auto& words : expected) EXPECT_TRUE(has(message, words)) << message;
    EXPECT_FALSE(has(message, "\n")) << message;
    EXPECT_FALSE(has(message, "\r")) << message;
  }
}

TEST(Failures, howToAddAKey) {
  auto target = laptop();
  EXPECT_EQ(addingCommand(target),
            "add it with 'ssh-keyscan -p 2222 laptop.example >> /no/such/known_hosts', or connect "
            "once by hand with 'ssh -l me laptop'");
  target.hostKeyAlias = "alias";
  EXPECT_TRUE(has(addingCommand(target), "laptop.example | sed 's/^[^ ]*/alias/' >> "))
      << addingCommand(target);
  target.proxyJump = "hop";
  target.configFile = "/my config";
  EXPECT_EQ(addingCommand(target), "connect once by hand with 'ssh -F '/my config' -l me laptop'");
  target.userKnownHostsFiles.clear();
  EXPECT_TRUE(has(addingCommand(target), "name a UserKnownHostsFile"));
}

TEST(Failures, controlCharactersDoNotReachTheTerminal) {
  auto message = explainOpenssh(laptop(), "evil \x1b[2J words\r\n", Denial());
  EXPECT_FALSE(has(message, "\x1b")) << message;
  EXPECT_TRUE(has(message, "evil")) << message;
}

TEST(Failures, aLongTaleIsCutToItsEnd) {
  auto words = ownWords("first\nsecond\n" + std::string(10'000, 'x') + "\nlast but one\nlast\n");
  EXPECT_LT(words.size(), 500u);
  EXPECT_TRUE(words.ends_with("last but one / last")) << words;
}

TEST(Failures, denialNamesWhatWasTried) {
  auto message =
      permissionDenied(laptop(), {{"/k/one was refused", "/k/two is locked"}, {"/k/t wo"}});
  EXPECT_TRUE(has(message, "Tried: /k/one was refused; /k/two is locked.")) << message;
  EXPECT_TRUE(has(message, "'ssh-add '/k/t wo''")) << message;
  EXPECT_TRUE(has(permissionDenied(laptop(), {}), "There is no key to offer"));
}

}  // namespace
}  // namespace pibrain
