#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/delta/delta.h"
#ifdef PIBRAIN_TEST_HUB
#include "hub/connect/connect-ssh.h"
#endif

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  pibrain::initLibrsync();
#ifdef PIBRAIN_TEST_HUB
  pibrain::initSsh();
#endif
  umask(0077);
  return RUN_ALL_TESTS();
}
