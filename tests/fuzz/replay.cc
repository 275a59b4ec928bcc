// Enters a harness without libFuzzer, with each file of the directories in the arguments. A finding
// ends the process, as it would end the fuzzing; the last line says which file it was.

#include <stdio.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  LLVMFuzzerInitialize(&argc, &argv);
  std::set<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (auto& entry : std::filesystem::directory_iterator(argv[i])) files.insert(entry.path());
  }
  for (auto& file : files) {
    printf("%s\n", file.c_str());
    fflush(stdout);
    std::ifstream in(file, std::ios::binary);
    std::string input(std::istreambuf_iterator<char>(in), {});
    if (!in) return 1;
    // In a block of its own size, so that the sanitizer notices reads behind its end.
    std::vector<char> exact(input.begin(), input.end());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(exact.data()), exact.size());
  }
  printf("%zu files, nothing found\n", files.size());
  return files.empty();
}
