// usage: flipper BASE PATH OTHER [PATH OTHER …]
//
// A hostile local user: swaps each pair of paths beneath BASE again and again until standard input
// ends, and then prints how often (tests/unit/flipper.h).

#include "tests/unit/flipper.h"

#include <stdlib.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::vector<pibrain::Flipper::Pair> pairs;
  for (int i = 2; i + 1 < argc; i += 2) pairs.emplace_back(argv[i], argv[i + 1]);
  kj::AutoCloseFd base(open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (base.get() < 0) return 1;
  pibrain::Flipper flipper(kj::mv(base), pairs);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  printf("%llu\n", (unsigned long long)flipper.swaps());
  return 0;
}
