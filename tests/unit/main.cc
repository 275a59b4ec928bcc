#include <gtest/gtest.h>
#include <sys/stat.h>

#include "common/rsync-job.h"
#include "hub/ssh/connect.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  pibrain::initRsync();
  pibrain::initSsh();
  umask(0077);
  return RUN_ALL_TESTS();
}
