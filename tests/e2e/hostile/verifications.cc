// Lies in the answers to `verify`: digests and signatures. The spoke has p/a.jsonl, like the
// mirror.

#include "tests/e2e/hostile/script.h"

namespace hostile {

namespace {

Script listing(std::function<Blocks()> digest) {
  Script script;
  script.listing = []() { return listingOf("p", {{"a.jsonl", mirrored().size()}}); };
  script.digest = std::move(digest);
  return script;
}

Fill digest(uint32_t file, uint64_t size = mirrored().size()) {
  return [=](proto::Event::Builder event) {
    auto out = event.initDigest();
    out.setFile(file);
    out.setSize(size);
    hashOf("something else").to(out.initHash());
  };
}

Fill piece(std::string text) {
  return [=](proto::Event::Builder event) { event.setSignature(dataOf(text)); };
}

// Claims another content, so that the hub asks which block differs.
Script signing(std::function<Blocks()> signature) {
  auto script = listing([]() { return events({digest(0)}); });
  script.signature = std::move(signature);
  return script;
}

// librsync's header of a signature (https://librsync.github.io/page_formats.html), and `blocks`
// sums of zeros.
std::string signatureOf(uint32_t block, uint32_t strong, size_t blocks) {
  std::string out;
  for (uint32_t number : {0x72730147u, block, strong}) {
    for (int shift = 24; shift >= 0; shift -= 8) out += char(number >> shift);
  }
  return out + std::string(blocks * (4 + strong), '\0');
}

}  // namespace

Scripts verifyScripts() {
  Scripts all;
  all["digest-of-another"] = []() { return listing([]() { return events({digest(7)}); }); };
  all["digest-twice"] = []() { return listing([]() { return events({digest(0), digest(0)}); }); };
  all["digest-and-refusal"] = []() {
    return listing([]() { return events({digest(0), refused(0)}); });
  };
  all["digest-missing"] = []() { return listing([]() { return events({}); }); };
  all["digest-differs"] = []() { return listing([]() { return events({differs(0)}); }); };
  all["digest-garbage"] = []() { return listing([]() { return bytes("garbage"); }); };
  all["digest-empty-blocks"] = []() { return listing([]() { return emptyBlocks(); }); };
  all["digest-stalling"] = []() { return listing([]() { return stalling({digest(0)}); }); };
  all["digest-mute"] = []() {
    auto script = listing(nullptr);
    script.mute = "digest";
    return script;
  };
  all["signature-garbage"] = []() {
    return signing([]() { return events({piece("garbage!garb")}); });
  };
  all["signature-cut"] = []() { return signing([]() { return events({piece("rs")}); }); };
  all["signature-of-no-blocks"] = []() {
    return signing([]() { return events({piece(signatureOf(0, 8, 4))}); });
  };
  all["signature-of-huge-blocks"] = []() {
    return signing([]() { return events({piece(signatureOf(UINT32_MAX, 8, 4))}); });
  };
  all["signature-strong"] = []() {
    return signing([]() { return events({piece(signatureOf(2048, UINT32_MAX, 0))}); });
  };
  all["signature-odd"] = []() {
    return signing([]() { return events({piece(signatureOf(2048, 8, 4) + "x")}); });
  };
  all["signature-endless"] = []() {
    return signing([]() {
      return endless({piece(signatureOf(2048, 8, 4))},
                     []() { return piece(std::string(120'000, 'x')); });
    });
  };
  all["signature-of-nothing"] = []() {
    return signing([]() { return endless({}, []() { return piece(""); }); });
  };
  all["signature-refused-often"] = []() {
    return signing([]() { return endless({}, []() { return refused(0); }); });
  };
  all["signature-differs"] = []() { return signing([]() { return events({differs(0)}); }); };
  all["signature-mute"] = []() {
    auto script = signing(nullptr);
    script.mute = "signature";
    return script;
  };
  return all;
}

}  // namespace hostile
