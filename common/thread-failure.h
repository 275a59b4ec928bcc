#pragma once
// An exception on its way from one thread to another. A kj::Exception must end in the thread that
// threw it (KJ keeps a list of those on each thread's stack, and aborts), so a copy goes over.

#include <kj/exception.h>

#include <exception>
#include <utility>

namespace pibrain {

class ThreadFailure {
 public:
  // Runs it, and keeps what it throws.
  template <typename Work>
  void guard(Work&& work) {
    try {
      work();
    } catch (const kj::Exception& e) {
      kj_ = kj::cp(e);
    } catch (...) {
      other_ = std::current_exception();
    }
  }

  // In the other thread: throws it, if there is one, and forgets it.
  void rethrow() {
    KJ_IF_MAYBE(e, kj_) {
      auto copy = kj::mv(*e);
      kj_ = nullptr;
      kj::throwFatalException(kj::mv(copy));
    }
    if (other_ != nullptr) std::rethrow_exception(std::exchange(other_, nullptr));
  }

 private:
  kj::Maybe<kj::Exception> kj_;
  std::exception_ptr other_;
};

}  // namespace pibrain
