// Where libFuzzer enters each harness (https://llvm.org/docs/LibFuzzer.html).

#include <signal.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  signal(SIGPIPE, SIG_IGN);
  umask(0077);
  pibrain::initLibrsync();
  pibrain::fuzz::asyncIo();  // before anything waits
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pibrain::fuzz::run({data, size});
  return 0;
}
