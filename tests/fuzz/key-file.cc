// Identity files, private and public. Input: the file.

#include "hub/ssh/key-file.h"

#include "hub/ssh/known-hosts.h"
#include "tests/fuzz/fuzz.h"

namespace pibrain::fuzz {

void run(Input input) {
  static TempDir dir(scratch());
  std::string text(input.rest());
  auto blob = publicKeyBlob(text);
  require(blob.empty() || text.find(keyType(blob)) != std::string::npos,
          "a public key is of the type before it");
  dir.write("key", text);
  auto key = inspectKeyFile(dir / "key");
  require(key.exists && key.readable && !key.exposed, "the file exists");
  require(key.encrypted || key.cipher.empty(), "a key with a cipher is encrypted");
  require(key.publicBlob.empty() || key.type == keyType(key.publicBlob), "a key has its type");
}

}  // namespace pibrain::fuzz
