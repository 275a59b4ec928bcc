#include "hub/cli/json.h"

#include <capnp/compat/json.h>
#include <stdio.h>

namespace pibrain {

namespace {

// For texts that may be null.
class NullableText : public capnp::JsonCodec::Handler<capnp::Text> {
 public:
  void encode(const capnp::JsonCodec&, capnp::Text::Reader input,
              capnp::json::Value::Builder output) const override {
    if (input.size() == 0) {
      output.setNull();
    } else {
      output.setString(input);
    }
  }
  capnp::Orphan<capnp::Text> decode(const capnp::JsonCodec&, capnp::json::Value::Reader,
                                    capnp::Orphanage orphanage) const override {
    return orphanage.newOrphanCopy(capnp::Text::Reader(""));
  }
};

// JSON, with what a terminal would obey (U+007F…U+009F, and line and bidi controls) written as
// \uXXXX: the codec does so below U+0020 only. All of it stands in strings.
std::string escapeControls(std::string_view json) {
  std::string out;
  auto byte = [&](size_t i) { return i < json.size() ? uint8_t(json[i]) : 0; };
  for (size_t i = 0; i < json.size(); ++i) {
    unsigned code = 0;
    size_t length = 1;
    if (byte(i) == 0x7f) {
      code = 0x7f;
    } else if (byte(i) == 0xc2 && byte(i + 1) < 0xa0) {
      code = byte(i + 1);
      length = 2;
    } else if (byte(i) == 0xe2 && (byte(i + 1) == 0x80 || byte(i + 1) == 0x81)) {
      code = 0x2000u | (byte(i + 1) & 0x3fu) << 6 | (byte(i + 2) & 0x3fu);
      bool control = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
      code = control ? code : 0;
      length = 3;
    }
    if (code == 0) {
      out += json[i];
      continue;
    }
    char escaped[8];
    snprintf(escaped, sizeof(escaped), "\\u%04x", code);
    out += escaped;
    i += length - 1;
  }
  return out;
}

class Printer {
 public:
  Printer() { codec_.setPrettyPrint(true); }

  template <typename Struct>
  Printer& nullable(const char* field) {
    codec_.addFieldHandler(capnp::Schema::from<Struct>().getFieldByName(field), handler_);
    return *this;
  }

  template <typename Document>
  void print(Document document) {
    puts(escapeControls(codec_.encode(document).cStr()).c_str());
  }

 private:
  NullableText handler_;
  capnp::JsonCodec codec_;
};

}  // namespace

void printJson(report::Status::Reader status) {
  using Spoke = report::Status::Spoke;
  Printer printer;
  for (auto* field :
       {"source", "lastSync", "lastSyncFormatted", "lastError", "lastRun", "schedule"}) {
    printer.nullable<Spoke>(field);
  }
  printer.print(status);
}

void printJson(report::Run::Reader run) {
  Printer printer;
  printer.nullable<report::Run::Spoke>("error")
      .nullable<report::Run::Spoke>("transport")
      .nullable<report::Run::Change>("from");
  printer.print(run);
}

void printJson(report::SessionList::Reader list) { Printer().print(list); }
void printJson(report::Doctor::Reader doctor) { Printer().print(doctor); }
void printJson(report::ArchiveList::Reader list) { Printer().print(list); }

void printJson(report::History::Reader history) {
  Printer().nullable<report::History::Entry>("error").print(history);
}

void printJson(report::SpokeList::Reader list) {
  Printer printer;
  for (auto* field : {"source", "version", "sandbox", "lastContact", "key", "fingerprint"}) {
    printer.nullable<report::SpokeList::Spoke>(field);
  }
  printer.print(list);
}

void printJson(report::SpokeChanges::Reader changes) {
  Printer printer;
  for (auto* field : {"error", "architecture", "agent", "line"}) {
    printer.nullable<report::SpokeChanges::Spoke>(field);
  }
  printer.print(changes);
}

void printJson(report::Verify::Reader verify) {
  Printer().nullable<report::Verify::Spoke>("error").print(verify);
}

void fillCounts(const Counts& counts, report::Run::Counts::Builder out) {
  out.setNew(counts.created);
  out.setGrown(counts.grown);
  out.setRewritten(counts.rewritten);
  out.setMoved(counts.moved);
  out.setTouched(counts.touched);
  out.setDeleted(counts.deleted);
  out.setKept(counts.kept);
  out.setDeferred(counts.deferred);
  out.setFailed(counts.failed);
  out.setFiles(counts.files);
}

std::string toUtf8(const std::string& bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    auto lead = uint8_t(bytes[i]);
    size_t length = lead < 0x80                    ? 1
                    : lead >= 0xc2 && lead <= 0xdf ? 2
                    : lead >= 0xe0 && lead <= 0xef ? 3
                    : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                   : 0;
    bool good = length > 0 && i + length <= bytes.size();
    for (size_t k = 1; good && k < length; ++k) good = (uint8_t(bytes[i + k]) & 0xc0) == 0x80;
    if (good) {
      out += bytes.substr(i, length);
      i += length;
    } else {
      out += "\xef\xbf\xbd";
      ++i;
    }
  }
  return out;
}

}  // namespace pibrain
