#include "hub/report/json.h"

#include <capnp/compat/json.h>
#include <stdio.h>

#include "common/text/utf8.h"

namespace pibrain {

namespace {

void setText(capnp::Text::Reader text, capnp::json::Value::Builder out) {
  if (text.size() == 0) {
    out.setNull();
  } else {
    out.setString(text);
  }
}

// Encodes an empty text as null.
class NullableText : public capnp::JsonCodec::Handler<capnp::Text> {
 public:
  void encode(const capnp::JsonCodec&, capnp::Text::Reader input,
              capnp::json::Value::Builder output) const override {
    setText(input, output);
  }
  capnp::Orphan<capnp::Text> decode(const capnp::JsonCodec&, capnp::json::Value::Reader,
                                    capnp::Orphanage orphanage) const override {
    return orphanage.newOrphanCopy(capnp::Text::Reader(""));
  }
};

// Encodes empty texts of a list as null.
class NullableTexts : public capnp::JsonCodec::Handler<capnp::List<capnp::Text>> {
 public:
  void encode(const capnp::JsonCodec&, capnp::List<capnp::Text>::Reader input,
              capnp::json::Value::Builder output) const override {
    auto array = output.initArray(input.size());
    for (uint32_t i = 0; i < input.size(); ++i) setText(input[i], array[i]);
  }
  capnp::Orphan<capnp::List<capnp::Text>> decode(const capnp::JsonCodec&,
                                                 capnp::json::Value::Reader,
                                                 capnp::Orphanage orphanage) const override {
    return orphanage.newOrphan<capnp::List<capnp::Text>>(0);
  }
};

// Encodes a failure without an id as null.
class NullableFailure : public capnp::JsonCodec::Handler<report::Failure> {
 public:
  void encode(const capnp::JsonCodec&, report::Failure::Reader input,
              capnp::json::Value::Builder output) const override {
    if (input.getId().size() == 0) return output.setNull();
    auto fields = output.initObject(4);
    setField(fields[0], "id", input.getId());
    setField(fields[1], "what", input.getWhat());
    setField(fields[2], "cause", input.getCause());
    fields[3].setName("fixes");
    auto fixes = fields[3].initValue().initArray(input.getFixes().size());
    for (uint32_t i = 0; i < fixes.size(); ++i) {
      auto fix = fixes[i].initObject(2);
      setField(fix[0], "text", input.getFixes()[i].getText());
      setField(fix[1], "command", input.getFixes()[i].getCommand());
    }
  }
  void decode(const capnp::JsonCodec&, capnp::json::Value::Reader,
              report::Failure::Builder) const override {}

 private:
  static void setField(capnp::json::Value::Field::Builder field, const char* name,
                       capnp::Text::Reader text) {
    field.setName(name);
    setText(text, field.initValue());
  }
};

// Writes characters that control a terminal (U+007F…U+009F, line and bidi controls) as \uXXXX,
// since the codec does that only below U+0020. Such characters occur only in strings.
std::string escapeControls(std::string_view json) {
  std::string out;
  while (!json.empty()) {
    auto [code, length] = firstCharacter(json);
    if (code > 0x20 && isControl(code)) {
      char escaped[12];
      snprintf(escaped, sizeof(escaped), "\\u%04x", unsigned(code));
      out += escaped;
    } else {
      out += json.substr(0, length);
    }
    // The JSON is valid UTF-8; an invalid byte would be dropped.
    json.remove_prefix(length > 0 ? length : 1);
  }
  return out;
}

class Encoder {
 public:
  explicit Encoder(bool pretty = true) {
    codec_.setPrettyPrint(pretty);
    codec_.addTypeHandler(failureHandler_);
  }

  template <typename Struct>
  Encoder& nullable(const char* field) {
    codec_.addFieldHandler(capnp::Schema::from<Struct>().getFieldByName(field), handler_);
    return *this;
  }

  template <typename Struct>
  Encoder& nullableTexts(const char* field) {
    codec_.addFieldHandler(capnp::Schema::from<Struct>().getFieldByName(field), listHandler_);
    return *this;
  }

  template <typename Document>
  std::string encode(Document document) {
    return escapeControls(codec_.encode(document).cStr());
  }

 private:
  NullableText handler_;
  NullableTexts listHandler_;
  NullableFailure failureHandler_;
  capnp::JsonCodec codec_;
};

}  // namespace

std::string toJson(report::Status::Reader status) {
  using Spoke = report::Status::Spoke;
  Encoder encoder;
  for (auto* field : {"source", "lastSync", "lastSyncFormatted", "lastError", "lastRun", "schedule",
                      "pathBytes", "live"}) {
    encoder.nullable<Spoke>(field);
  }
  return encoder.nullable<report::Status>("hubSessionsDirBytes").encode(status);
}

std::string toJson(report::Run::Reader run) {
  Encoder encoder;
  encoder.nullable<report::Run::Spoke>("error")
      .nullable<report::Run::Spoke>("transport")
      .nullable<report::Run::Change>("from")
      .nullable<report::Run::Change>("pathBytes")
      .nullable<report::Run::Change>("fromBytes");
  return encoder.encode(run);
}

std::string toJson(report::SessionList::Reader list) {
  return Encoder()
      .nullable<report::SessionList::Spoke>("pathBytes")
      .nullableTexts<report::SessionList::Spoke>("sessionsBytes")
      .nullable<report::SessionList::Session>("project")
      .nullable<report::SessionList::Session>("directory")
      .nullable<report::SessionList::Session>("title")
      .encode(list);
}

std::string toJson(report::DaemonStatus::Reader daemon) {
  Encoder encoder;
  encoder.nullable<report::DaemonStatus>("configBytes");
  for (auto* field : {"why", "since", "lastChange", "lastScan", "nextAttempt"}) {
    encoder.nullable<report::DaemonStatus::Spoke>(field);
  }
  return encoder.encode(daemon);
}

std::string toJson(report::WatchLine::Reader line) {
  Encoder encoder(false);
  for (auto* field : {"why", "path", "pathBytes", "kind", "writtenNs", "mirroredNs"}) {
    encoder.nullable<report::WatchLine>(field);
  }
  return encoder.encode(line);
}

std::string toJson(report::Refusal::Reader refusal) { return Encoder().encode(refusal); }

std::string toJson(report::Doctor::Reader doctor) { return Encoder().encode(doctor); }

std::string toJson(report::ArchiveList::Reader list) {
  return Encoder()
      .nullable<report::ArchiveList::File>("pathBytes")
      .nullable<report::ArchiveList::File>("spokeBytes")
      .nullable<report::ArchiveList::File>("reason")
      .encode(list);
}

std::string toJson(report::ArchiveRestore::Reader restored) {
  return Encoder()
      .nullable<report::ArchiveRestore::File>("pathBytes")
      .nullable<report::ArchiveRestore::File>("spokeBytes")
      .nullable<report::ArchiveRestore::File>("to")
      .nullable<report::ArchiveRestore::File>("toBytes")
      .encode(restored);
}

std::string toJson(report::History::Reader history) {
  return Encoder().nullable<report::History::Entry>("error").encode(history);
}

std::string toJson(report::SpokeList::Reader list) {
  Encoder encoder;
  for (auto* field : {"source", "version", "sandbox", "lastContact", "key", "fingerprint",
                      "pathBytes", "keyBytes", "keyProblem"}) {
    encoder.nullable<report::SpokeList::Spoke>(field);
  }
  return encoder.encode(list);
}

std::string toJson(report::SpokeChanges::Reader changes) {
  Encoder encoder;
  for (auto* field : {"error", "architecture", "agent", "line"}) {
    encoder.nullable<report::SpokeChanges::Spoke>(field);
  }
  return encoder.encode(changes);
}

std::string toJson(report::Verify::Reader verify) {
  return Encoder()
      .nullable<report::Verify::Spoke>("error")
      .nullable<report::Verify::Difference>("pathBytes")
      .encode(verify);
}

void fill(const std::optional<Failure>& failure, report::Failure::Builder out) {
  if (!failure) return out.setId("");
  out.setId(std::string(failure->idName()).c_str());
  out.setWhat(toUtf8(failure->summary()).c_str());
  out.setCause(toUtf8(failure->cause()).c_str());
  auto fixes = out.initFixes(uint32_t(failure->fixes().size()));
  for (uint32_t i = 0; i < fixes.size(); ++i) {
    fixes[i].setText(toUtf8(failure->fixes()[i].text).c_str());
    fixes[i].setCommand(toUtf8(failure->fixes()[i].command).c_str());
  }
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

std::string exactPath(const std::string& path) { return isUtf8(path) ? "" : percentEncode(path); }

}  // namespace pibrain
