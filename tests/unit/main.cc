#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/delta/rsync-job.h"
#ifdef PIBRAIN_TEST_HUB
#include "hub/connect/connect.h"
#endif

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  pibrain::initRsync();
#ifdef PIBRAIN_TEST_HUB
  pibrain::initSsh();
#endif
  umask(0077);
  return RUN_ALL_TESTS();
}
