#include "hub/ssh/identities.h"

#include <gtest/gtest.h>
#include <libssh2.h>

namespace pibrain {
namespace {

TEST(Identities, keysThatOnlyOpensshCanUse) {
  auto needs = [](const std::string& type, bool certificate = false,
                  const std::string& cipher = "") {
    Identity identity;
    identity.path = "/k";
    identity.type = type;
    identity.hasCertificate = certificate;
    identity.cipher = cipher;
    return whyNotLibssh2(identity).has_value();
  };
  EXPECT_FALSE(needs("ssh-ed25519"));
  EXPECT_FALSE(needs("ecdsa-sha2-nistp256"));
  EXPECT_FALSE(needs(""));
  EXPECT_EQ(needs("ssh-rsa"), LIBSSH2_VERSION_NUM < 0x010b00);
  EXPECT_TRUE(needs("sk-ssh-ed25519@openssh.com"));
  EXPECT_TRUE(needs("sk-ecdsa-sha2-nistp256@openssh.com"));
  EXPECT_TRUE(needs("ssh-ed25519-cert-v01@openssh.com"));
  EXPECT_TRUE(needs("ssh-ed25519", true));
  EXPECT_TRUE(needs("ssh-ed25519", false, "aes256-gcm@openssh.com"));
}

}  // namespace
}  // namespace pibrain
