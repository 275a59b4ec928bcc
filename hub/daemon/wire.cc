#include "hub/daemon/wire.h"

#include <kj/debug.h>

#include <initializer_list>

namespace pibrain {

namespace {

// Returns the value that toString() writes so.
template <typename Enum>
Enum named(capnp::Text::Reader text, std::initializer_list<Enum> values) {
  for (auto value : values) {
    if (text == toString(value)) return value;
  }
  KJ_FAIL_REQUIRE("an unknown word", text);
}

ChangeKind changeKindFrom(capnp::Text::Reader text) {
  return named(text, {ChangeKind::NEW, ChangeKind::GROW, ChangeKind::REWRITE, ChangeKind::MOVE,
                      ChangeKind::TOUCH, ChangeKind::DELETE, ChangeKind::KEEP});
}

uint32_t Counts::*const COUNTS[] = {
    &Counts::files,   &Counts::created, &Counts::grown, &Counts::rewritten, &Counts::moved,
    &Counts::touched, &Counts::deleted, &Counts::kept,  &Counts::deferred,  &Counts::failed,
};

template <typename Values>
void writeAll(const Values& values, capnp::List<capnp::Data>::Builder out) {
  for (uint32_t i = 0; i < out.size(); ++i) out.set(i, dataOf(values[i]));
}

std::vector<std::string> readAll(capnp::List<capnp::Data>::Reader in) {
  std::vector<std::string> values;
  for (auto value : in) values.push_back(bytesOf(value));
  return values;
}

}  // namespace

std::string bytesOf(capnp::Data::Reader data) {
  return std::string(data.asChars().begin(), data.size());
}

capnp::Data::Reader dataOf(const std::string& bytes) {
  return kj::arrayPtr(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size());
}

std::string packedOrEmpty(const std::optional<Failure>& failure) {
  return failure ? packed(*failure) : "";
}

std::optional<Failure> failureFrom(capnp::Data::Reader data) {
  if (data.size() == 0) return std::nullopt;
  auto failure = unpacked(bytesOf(data));
  KJ_REQUIRE(failure.has_value(), "not a failure");
  return failure;
}

LiveState liveStateFrom(const std::string& text) {
  return named<LiveState>(capnp::Text::Reader(text.c_str(), text.size()),
                          {LiveState::CONNECTING, LiveState::SCANNING, LiveState::LIVE,
                           LiveState::POLLING, LiveState::SCHEDULED});
}

void encode(const SpokeReport& report, control::Report::Builder out) {
  out.setName(report.name);
  out.setOutcome(toString(report.outcome));
  out.setFailure(dataOf(packedOrEmpty(report.failure)));
  writeAll(report.warnings, out.initWarnings(uint32_t(report.warnings.size())));
  out.setTransport(dataOf(report.transport));
  auto counts = out.initCounts(std::size(COUNTS));
  for (uint32_t i = 0; i < counts.size(); ++i) counts.set(i, report.counts.*COUNTS[i]);
  writeAll(report.deferred, out.initDeferred(uint32_t(report.deferred.size())));
  auto changes = out.initChanges(uint32_t(report.changes.size()));
  for (uint32_t i = 0; i < changes.size(); ++i) {
    auto& change = report.changes[i];
    changes[i].setKind(toString(change.kind));
    changes[i].setPath(dataOf(change.path));
    changes[i].setFrom(dataOf(change.from));
    changes[i].setSize(change.size);
    changes[i].setAdded(change.added);
  }
  out.setStarted(report.started);
  out.setFinished(report.finished);
  out.setBytesGrown(report.bytesGrown);
  out.setBytesLiteral(report.bytesLiteral);
  out.setWireUp(report.wire.up);
  out.setWireDown(report.wire.down);
}

SpokeReport decode(control::Report::Reader in) {
  SpokeReport report;
  report.name = in.getName();
  report.outcome =
      named(in.getOutcome(), {Outcome::OK, Outcome::FAILED, Outcome::LOCKED, Outcome::SKIPPED});
  report.failure = failureFrom(in.getFailure());
  report.warnings = readAll(in.getWarnings());
  report.transport = bytesOf(in.getTransport());
  auto counts = in.getCounts();
  KJ_REQUIRE(counts.size() == std::size(COUNTS), "not the counts of a run");
  for (uint32_t i = 0; i < counts.size(); ++i) report.counts.*COUNTS[i] = counts[i];
  report.deferred = readAll(in.getDeferred());
  for (auto change : in.getChanges()) {
    report.changes.push_back({changeKindFrom(change.getKind()), bytesOf(change.getPath()),
                              bytesOf(change.getFrom()), change.getSize(), change.getAdded()});
  }
  report.started = in.getStarted();
  report.finished = in.getFinished();
  report.bytesGrown = in.getBytesGrown();
  report.bytesLiteral = in.getBytesLiteral();
  report.wire = {in.getWireUp(), in.getWireDown()};
  return report;
}

void encode(const LiveChange& change, control::Event::Changed::Builder out) {
  out.setKind(toString(change.kind));
  out.setPath(dataOf(change.path));
  out.setFrom(change.from);
  out.setTo(change.to);
  out.setWritten(change.written);
  out.setMirrored(change.mirrored);
}

LiveChange decode(control::Event::Changed::Reader in) {
  return {changeKindFrom(in.getKind()),
          bytesOf(in.getPath()),
          in.getFrom(),
          in.getTo(),
          in.getWritten(),
          in.getMirrored()};
}

void encode(const RunOptions& options, control::PassOptions::Builder out) {
  out.setDryRun(options.dryRun);
  out.setDeleteGone(options.deleteGone);
  out.setMaxDelete(options.maxDelete);
  out.setWaitSeconds(uint64_t(options.wait.count()));
}

RunOptions decode(control::PassOptions::Reader in) {
  RunOptions options;
  options.dryRun = in.getDryRun();
  options.deleteGone = in.getDeleteGone();
  options.maxDelete = in.getMaxDelete();
  options.wait = std::chrono::seconds(in.getWaitSeconds());
  return options;
}

void encode(const Progress& progress, control::Progress::Builder out) {
  out.setPhase(uint8_t(progress.phase.load()));
  out.setFiles(progress.files);
  out.setFilesDone(progress.filesDone);
  out.setBytes(progress.bytes);
  out.setBytesDone(progress.bytesDone);
}

void decodeInto(control::Progress::Reader in, Progress& progress) {
  KJ_REQUIRE(in.getPhase() <= uint8_t(Progress::Phase::ENDED), "not a phase");
  progress.files = in.getFiles();
  progress.filesDone = in.getFilesDone();
  progress.bytes = in.getBytes();
  progress.bytesDone = in.getBytesDone();
  progress.phase = Progress::Phase(in.getPhase());
}

}  // namespace pibrain
