// Lies in the answers to pull.

#include <stdint.h>

#include <memory>

#include "tests/e2e/hostile/script.h"

namespace hostile {

namespace {

using Content = proto::Begin::Content;
using Pull = std::function<Blocks(const std::vector<Asked>&)>;

const std::string LINE = "0123456789abcde\n";

// One file: new, grown, or shorter.
Script pulled(Item item, Pull pull) {
  Script script;
  script.listing = [=]() { return listingOf("p", {item}); };
  script.pull = std::move(pull);
  return script;
}

Script fresh(Pull pull) { return pulled({"new.jsonl"}, std::move(pull)); }
Script grown(Pull pull) {
  return pulled({"a.jsonl", mirrored().size() + LINE.size()}, std::move(pull));
}
Script shrunk(Pull pull) { return pulled({"a.jsonl", 20'000}, std::move(pull)); }

// The same answer to each question.
Pull always(Fills fills) {
  return [=](const std::vector<Asked>&) { return events(fills); };
}

// This to the first question; the next questions, by other methods, are refused.
Pull once(Fills fills) {
  auto asked = std::make_shared<bool>(false);
  return [=](const std::vector<Asked>& wants) {
    if (*asked) return events({refused(wants[0].file)});
    *asked = true;
    return events(fills);
  };
}

// ---- librsync's deltas, by hand: https://librsync.github.io/page_formats.html

std::string bigEndian(uint64_t number) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out += char(number >> shift);
  return out;
}

const std::string MAGIC = "rs\x02\x36";
const std::string END = std::string(1, '\0');
std::string copy(uint64_t from, uint64_t length) {
  return '\x54' + bigEndian(from) + bigEndian(length);
}
std::string literal(const std::string& text) { return '\x44' + bigEndian(text.size()) + text; }

Fills delta(const std::string& bytes, uint64_t size, const std::string& content) {
  return {begin(0, Content::DELTA, size), data(bytes, ""), end(content)};
}

void addOrder(Scripts& all) {
  all["data-before-begin"] = []() { return fresh(always({data(LINE, LINE)})); };
  all["end-without-begin"] = []() { return fresh(always({end(LINE)})); };
  all["begin-within-begin"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 16), begin(0, Content::WHOLE, 16)}));
  };
  all["begin-twice"] = []() {
    auto fills = whole(0, LINE);
    for (auto& fill : whole(0, LINE)) fills.push_back(fill);
    return fresh(always(fills));
  };
  all["refused-twice"] = []() {
    return fresh(always({refused(0, proto::Reason::CHANGING), refused(0)}));
  };
  all["not-listed"] = []() { return fresh(always(whole(77, LINE))); };
  all["out-of-range"] = []() { return fresh(always(whole(UINT32_MAX, LINE))); };
  all["refused-not-listed"] = []() { return fresh(always({refused(77)})); };
  all["differs-for-whole"] = []() { return fresh(always({differs(0)})); };
  all["differs-always-for-tail"] = []() { return grown(always({differs(0)})); };
  all["never-answered"] = []() { return fresh(always({})); };
  all["never-ended"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 32), data(LINE, LINE)}));
  };
  all["refused-within"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 32), data(LINE, LINE), refused(0)}));
  };
  all["changing-always"] = []() { return fresh(always({refused(0, proto::Reason::CHANGING)})); };
  all["bad-request-always"] = []() {
    return fresh(always({refused(0, proto::Reason::BAD_REQUEST)}));
  };
  all["summary-in-pull"] = []() { return fresh(always({summary(1)})); };
  all["pull-stalling"] = []() {
    return fresh([](auto&) { return stalling({begin(0, Content::WHOLE, 32), data(LINE, LINE)}); });
  };
}

void addContent(Scripts& all) {
  all["wrong-piece-hash"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 16), data(LINE, "other"), end(LINE)}));
  };
  all["wrong-end-hash"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 16), data(LINE, LINE), end("other")}));
  };
  all["whole-short"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 17), data(LINE, LINE), end(LINE)}));
  };
  all["whole-long"] = []() {
    return fresh(always({begin(0, Content::WHOLE, 15), data(LINE, LINE), end(LINE)}));
  };
  for (auto& [what, size] : std::map<std::string, uint64_t>{
           {"minus-one", UINT64_MAX}, {"2-63", uint64_t(1) << 63}, {"large", INT64_MAX}}) {
    all["begin-size-" + what] = [size = size]() {
      return fresh(always({begin(0, Content::WHOLE, size), data(LINE, LINE), end(LINE)}));
    };
  }
  auto tailed = [](int64_t more, std::string tail, std::string last) {
    return [=]() {
      auto file = mirrored();
      return grown(always({begin(0, Content::TAIL, uint64_t(int64_t(file.size()) + more)),
                           data(tail, file + tail), end(last.empty() ? file + tail : last)}));
    };
  };
  all["tail-short"] = tailed(32, LINE, "");
  all["tail-long"] = tailed(8, LINE, "");
  all["tail-negative"] = tailed(-8, LINE, "");
  all["tail-wrong-end"] = tailed(16, LINE, "other");
  all["tail-wrong-piece"] = []() {
    return grown(always({begin(0, Content::TAIL, mirrored().size() + 16), data(LINE, LINE),
                         end(mirrored() + LINE)}));
  };
  // More than the hub buffers before it appends.
  all["large-tail-wrong-end"] = []() {
    Fills fills;
    pibrain::FileHasher hasher;
    hasher.update(dataOf(mirrored()));
    std::string piece(64 * 1024, 'x');
    fills.push_back(begin(0, Content::TAIL, mirrored().size() + 100 * piece.size()));
    for (int i = 0; i < 100; ++i) {
      hasher.update(dataOf(piece));
      fills.push_back(data(piece, hasher.digest()));
    }
    fills.push_back(end("other"));
    return grown(always(fills));
  };
  all["tail-for-new"] = []() {
    return fresh(always({begin(0, Content::TAIL, 16), data(LINE, LINE), end(LINE)}));
  };
  all["whole-for-tail"] = []() { return grown(always(whole(0, LINE))); };
  all["delta-for-tail"] = []() {
    return grown(always({begin(0, Content::DELTA, 16), data(MAGIC + END, ""), end("")}));
  };
  // The hub then asks for the whole file, and gets the same again.
  all["delta-for-new"] = []() { return fresh(always(delta(MAGIC + END, 0, ""))); };
  all["unknown-content"] = []() { return fresh(always({begin(0, Content(9), 16), end(LINE)})); };
}

void addDeltas(Scripts& all) {
  auto patched = [](std::string name, std::string bytes, uint64_t size, std::string content) {
    return std::pair(name, [=]() { return shrunk(once(delta(bytes, size, content))); });
  };
  auto basis = mirrored().size();
  for (auto& [name, script] : {
           patched("copy-beyond", MAGIC + copy(basis - 8, 64) + END, 64, ""),
           patched("copy-far-beyond", MAGIC + copy(uint64_t(1) << 62, 64) + END, 64, ""),
           patched("copy-negative", MAGIC + copy(UINT64_MAX, 64) + END, 64, ""),
           patched("copy-endless", MAGIC + copy(0, UINT64_MAX) + END, INT64_MAX, ""),
           patched("copy-nothing", MAGIC + copy(0, 0) + END, 64, ""),
           patched("trailing", MAGIC + literal(LINE) + END + "more", 16, LINE),
           patched("no-end", MAGIC + literal(LINE), 16, LINE),
           patched("wrong-end", MAGIC + literal(LINE) + END, 16, "other"),
           patched("short", MAGIC + literal(LINE) + END, 17, LINE),
           patched("long", MAGIC + literal(LINE) + END, 15, LINE),
           patched("garbage", "this is no delta at all, but a text", 64, ""),
           patched("bad-op", MAGIC + '\x60' + END, 64, ""),
           patched("empty", "", 16, ""),
       }) {
    all["delta-" + name] = script;
  }
  all["delta-amplified"] = [=]() {
    std::string bytes = MAGIC;
    for (int i = 0; i < 3000; ++i) bytes += copy(0, basis);
    return shrunk(once(delta(bytes + END, 20'000, "")));
  };
  // At each request, by whichever method.
  all["delta-always"] = [=]() { return shrunk(always(delta(MAGIC + END, 20'000, ""))); };

  auto forked = [](std::string parent, uint64_t size, pibrain::Digest hash) {
    return [=]() {
      return fresh(once(
          {fork(0, 32768, parent, size, hash), data(MAGIC + copy(0, 16) + END, ""), end(LINE)}));
    };
  };
  auto hash = hashOf(mirrored());
  all["fork-outside"] = forked("../x", basis, hash);
  all["fork-absolute"] = forked("/etc/passwd", 100, hash);
  all["fork-nul"] = forked(std::string("p/a.jsonl\0", 10), basis, hash);
  all["fork-of-a-directory"] = forked("p", basis, hash);
  all["fork-empty-path"] = forked("", basis, hash);
  all["fork-missing"] = forked("p/no.jsonl", basis, hash);
  all["fork-other-parent"] = forked("p/a.jsonl", basis, hashOf("other"));
  all["fork-short-parent"] = forked("p/a.jsonl", 16, hash);
  all["fork-long-parent"] = forked("p/a.jsonl", INT64_MAX, hash);
  all["fork-wrong-end"] = forked("p/a.jsonl", basis, hash);
  all["fork-always"] = [=]() {
    return fresh(
        always({fork(0, 32768, "p/a.jsonl", basis, hash), data(MAGIC + END, ""), end("")}));
  };
}

void addEndlessTransfers(Scripts& all) {
  all["endless-empty-pieces"] = []() {
    return fresh([](auto&) {
      return endless({begin(0, Content::WHOLE, 32)}, []() { return data("", ""); });
    });
  };
  // The hub gave up on the file at its first piece.
  all["endless-after-failure"] = []() {
    return fresh([](auto&) {
      return endless({begin(0, Content::WHOLE, 32)}, []() { return data(LINE, "other"); });
    });
  };
  all["endless-empty-copies"] = []() {
    return shrunk([](auto&) {
      return endless({begin(0, Content::DELTA, 32), data(MAGIC, "")},
                     []() { return data(copy(0, 0), ""); });
    });
  };
  all["endless-empty-literals"] = []() {
    return shrunk([](auto&) {
      return endless({begin(0, Content::DELTA, 32), data(MAGIC, "")},
                     []() { return data(literal(""), ""); });
    });
  };
  all["pull-empty-blocks"] = []() { return fresh([](auto&) { return emptyBlocks(); }); };
}

void addBlocks(Scripts& all) {
  // zstd frames, by hand (RFC 8878): a header without a size, and a window of 8 MiB or 2 GiB; then
  // blocks of 128 KiB that repeat one byte.
  auto bomb = [](char window, size_t blocks) {
    std::string frame = std::string("\x28\xb5\x2f\xfd\0", 5) + window;
    for (size_t i = 0; i < blocks; ++i) frame += std::string("\x02\0\x10\0", 4);
    return frame;
  };
  auto block = [](std::string content) {
    return [=]() {
      Script script;
      script.listing = [=]() { return bytes(content); };
      return script;
    };
  };
  all["bomb"] = block(bomb('\x68', 200'000));
  all["bomb-window"] = block(bomb('\xa8', 10));
  all["no-zstd"] = block(std::string(100'000, 'z'));
  all["zeros"] = block(bomb('\x68', 1));
  all["pull-bomb"] = [=]() { return fresh([=](auto&) { return bytes(bomb('\x68', 200'000)); }); };
  all["pull-no-zstd"] = []() { return fresh([](auto&) { return bytes("no zstd at all"); }); };
  all["block-too-large"] = block(std::string(5 << 20, 'z'));
  // A frame with one raw block of these words.
  auto raw = [](std::string words) {
    auto size = uint32_t(words.size()) << 3 | 1;
    return std::string("\x28\xb5\x2f\xfd\0\x68", 6) + char(size) + char(size >> 8) +
           char(size >> 16) + words;
  };
  std::string one("\0\0\0\0\1\0\0\0", 8);
  all["event-bad-pointer"] = block(raw(one + std::string(8, '\xff')));
  all["event-cut-short"] = block(raw(std::string("\0\0\0\0\x64\0\0\0", 8) + one));
  all["event-odd-length"] = block(raw("odd"));
  all["event-many-segments"] = block(raw(std::string(8, '\xff')));
  all["event-empty-messages"] = block(raw(std::string(80'000, '\0')));
  // A directory whose lists all point at one word, 2^29 elements long.
  all["event-amplified"] = block(
      raw(std::string("\0\0\0\0\5\0\0\0", 8) + std::string("\0\0\0\0\1\0\1\0", 8) +
          std::string("\1\0\0\0\0\0\0\0", 8) + std::string("\0\0\0\0\0\0\3\0", 8) +
          std::string("\1\0\0\0\xfd\xff\xff\xff", 8) + std::string("\1\0\0\0\xfd\xff\xff\xff", 8)));
}

}  // namespace

Scripts transferScripts() {
  Scripts all;
  addOrder(all);
  addContent(all);
  addDeltas(all);
  addEndlessTransfers(all);
  addBlocks(all);
  return all;
}

}  // namespace hostile
