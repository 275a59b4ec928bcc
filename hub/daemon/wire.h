#pragma once
// Values in the messages of proto/control.capnp.

#include <optional>
#include <string>

#include "hub/base/failure.h"
#include "hub/pass/live.h"
#include "hub/pass/options.h"
#include "hub/pass/progress.h"
#include "hub/pass/spoke-report.h"
#include "proto/control.capnp.h"

namespace pibrain {

// All functions that decode throw KJ exceptions for values that the other side cannot have written.

std::string bytesOf(capnp::Data::Reader data);
capnp::Data::Reader dataOf(const std::string& bytes);

// An empty text is no failure.
std::string packedOrEmpty(const std::optional<Failure>& failure);
std::optional<Failure> failureFrom(capnp::Data::Reader data);

LiveState liveStateFrom(const std::string& text);

void encode(const SpokeReport& report, control::Report::Builder out);
SpokeReport decode(control::Report::Reader in);

void encode(const LiveChange& change, control::Event::Changed::Builder out);
LiveChange decode(control::Event::Changed::Reader in);

// Not what only this process has: passphrases, limiters, and how many spokes at a time.
void encode(const RunOptions& options, control::PassOptions::Builder out);
RunOptions decode(control::PassOptions::Reader in);

void encode(const Progress& progress, control::Progress::Builder out);
void decodeInto(control::Progress::Reader in, Progress& progress);

}  // namespace pibrain
