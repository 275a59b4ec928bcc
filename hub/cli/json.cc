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
    auto text = codec_.encode(document);
    puts(text.cStr());
  }

 private:
  NullableText handler_;
  capnp::JsonCodec codec_;
};

}  // namespace

void printJson(report::Status::Reader status) {
  using Spoke = report::Status::Spoke;
  Printer printer;
  for (auto* field : {"source", "lastSync", "lastSyncFormatted", "lastError"}) {
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

void printJson(report::Verify::Reader verify) {
  Printer().nullable<report::Verify::Spoke>("error").print(verify);
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
