#include "hub/view/prometheus.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_replace.h>

#include <functional>

namespace pibrain {

namespace {

// Returns a metric's value for a spoke; nullopt: none.
using Value = std::function<std::optional<double>(const SpokeStatus&)>;

struct Metric {
  const char* name;
  const char* type;
  const char* help;
  Value value;
  bool ofRuns = true;  // false: it is about files on the hub's disk
};

std::optional<double> ofLastRun(const SpokeStatus& spoke,
                                const std::function<double(const Store::LastRun&)>& value) {
  return spoke.runs.last ? std::optional(value(*spoke.runs.last)) : std::nullopt;
}

std::vector<Metric> metrics() {
  return {
      {"last_success_timestamp_seconds", "gauge", "When the last successful run ended; 0: never.",
       [](auto& spoke) { return std::optional(double(spoke.runs.lastGood.value_or(0)) / 1e9); }},
      {"last_run_timestamp_seconds", "gauge",
       "When the latest run ended, whether successful or not.",
       [](auto& spoke) {
         return ofLastRun(spoke, [](auto& run) { return double(run.finished) / 1e9; });
       }},
      {"last_run_success", "gauge", "1 if the latest run succeeded, 0 if it failed.",
       [](auto& spoke) {
         return ofLastRun(spoke, [&](auto&) { return !spoke.runs.lastFailure ? 1.0 : 0.0; });
       }},
      {"last_run_duration_seconds", "gauge", "How long the latest run took.",
       [](auto& spoke) {
         return ofLastRun(spoke,
                          [](auto& run) { return double(run.finished - run.started) / 1e9; });
       }},
      {"last_run_files", "gauge", "Files on the spoke in the latest run.",
       [](auto& spoke) { return ofLastRun(spoke, [](auto& run) { return double(run.files); }); }},
      {"last_run_wire_bytes", "gauge", "Bytes on the wire in the latest run, both ways.",
       [](auto& spoke) { return ofLastRun(spoke, [](auto& run) { return double(run.wire); }); }},
      {"failed_runs", "gauge", "Failed runs in the history.",
       [](auto& spoke) { return std::optional(double(spoke.runs.failed)); }},
      {"mirror_files", "gauge", "Files in the mirror.",
       [](auto& spoke) { return std::optional(double(spoke.files)); }, false},
      {"mirror_sessions", "gauge", "Sessions (*.jsonl) in the mirror.",
       [](auto& spoke) { return std::optional(double(spoke.sessions)); }, false},
      {"mirror_bytes", "gauge", "Bytes in the mirror.",
       [](auto& spoke) { return std::optional(double(spoke.bytes)); }, false},
      {"archive_bytes", "gauge", "Bytes in the archive of what syncs replaced or deleted.",
       [](auto& spoke) { return std::optional(double(spoke.archiveBytes)); }, false},
  };
}

}  // namespace

std::string prometheusText(const Status& status) {
  std::string out;
  for (auto& metric : metrics()) {
    auto name = absl::StrCat("pi_brain_sync_", metric.name);
    absl::StrAppend(&out, "# HELP ", name, " ", metric.help, "\n# TYPE ", name, " ", metric.type,
                    "\n");
    for (auto& spoke : status.spokes) {
      auto value = metric.value(spoke);
      // Spokes that pi-brain does not sync have no metrics of runs.
      if (!value || (metric.ofRuns && reasonToSkip(*spoke.config))) continue;
      auto label =
          absl::StrReplaceAll(spoke.config->name, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}});
      absl::StrAppendFormat(&out, "%s{spoke=\"%s\"} %.15g\n", name, label, *value);
    }
  }
  return out;
}

}  // namespace pibrain
