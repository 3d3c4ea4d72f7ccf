// EpollReactor: the backend for many file descriptors, on epoll(7). A turn costs what is ready, not what waits.
//
// Thread rules: as Reactor.
// Rules:
//  (1) One entry per fd number. What waits for it is in the entry's list, in polled_, or, from the moment its event was taken
//      until its waker is used, in due_. Events are taken for the whole batch before the first waker is used: what wakers
//      stop, start and close meanwhile is not touched by this batch.
//  (2) All is edge-triggered. A wait that begins has epoll look again (EPOLL_CTL_MOD does), which makes it level-triggered as
//      Reactor promises, and finds out what was closed or reused meanwhile. A source's wait needs that only where the kernel was
//      not yet told of its interest.
//  (3) Nothing is told to the kernel before the next look: what begins and ends in between costs no system call. A wait that
//      ends is not told at all, until an event comes that nobody takes.
//  (4) An event carries the number of its fd, and the generation of the entry: how often the number was added to the set. One of
//      another generation is about a file that was closed under this number while a copy of it lives on (dup, fork). Nobody
//      can name that file any more, so when as many of those have come as there are waits, a new set is made. A generation
//      that wraps has one made too.
//  (5) What epoll cannot do, poll(2) does beside it: an fd that it refuses (a regular file, a closed number, no memory,
//      /proc/sys/fs/epoll/max_user_watches), no file descriptor for the set, a second wakeup fd, a kernel without
//      epoll_pwait2 that is to sleep for a while. Nothing is lost then, it takes only longer.
#pragma once

#include <poll.h>
#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "assay/audited/intrusive_list.hpp"
#include "assay/descriptors.hpp"
#include "assay/reactor.hpp"

namespace assay {

// To watch and to stop are O(1), a turn is O(events and changes since the last). 40 bytes for each fd number up to the
// largest in use. No allocation in steady state. The set is made when first needed.
//
// Of a number that is closed while something waits for it, epoll says nothing: the wait is told (invalid, or what the file
// says that has the number now) when something begins to wait for the same number again.
class EpollReactor final : public Reactor {
 public:
  // `generation_bits`, 1 to 32: for tests, which make it wrap.
  explicit EpollReactor(unsigned generation_bits = 32);  // throws std::bad_alloc
  ~EpollReactor() override;

  // Also aborts when the set was closed by others.
  bool wait(int wakeup_fd, std::optional<Duration> timeout) override;
  std::size_t size() const noexcept override { return places(); }
  void forget_wakeup(int wakeup_fd) noexcept override;

 private:
  using Waits = audited::IntrusiveList<FdWait>;

  struct Entry {
    Waits waits;
    detail::FdRegistration* source = nullptr;
    std::uint32_t readers = 0;  // of `waits`: those that wait to read, and
    std::uint32_t writers = 0;  //   those that wait to write; some do both
    std::uint32_t told = 0;     // the events that the set reports; 0: it may not know this fd
    std::uint32_t generation = 0;
    bool is_changed = false;   // in changed_
    bool is_unwanted = false;  // an event came that nobody took
  };

  ASSAY_RUNS_OTHERS void added(FdWait& wait) ASSAY_NONBLOCKING override;
  void leaving(FdWait& wait) noexcept ASSAY_NONBLOCKING override;
  void removed(std::size_t) noexcept ASSAY_NONBLOCKING override {}
  bool attached(detail::FdRegistration& source) override;
  void detached(detail::FdRegistration& source) noexcept override;
  void check_backend() const noexcept override;

  Entry& entry_of(int fd);
  void change(int fd, Entry& entry) noexcept ASSAY_NONBLOCKING;
  static void count(Entry& entry, const FdWait& wait, int by) noexcept;
  void move_to(Waits& list, FdWait::Home home, FdWait& wait) noexcept;

  void tell_changes() noexcept;
  void tell(int fd, Entry& entry) noexcept;
  bool add_or_modify(int fd, Entry& entry, std::uint32_t events) noexcept;
  void remove(int fd, Entry& entry) noexcept;
  void refuse(Entry& entry) noexcept;
  void next_generation(Entry& entry) noexcept;
  bool make_set() noexcept;
  bool renew() noexcept;
  bool watch_wakeup(int wakeup_fd) noexcept;

  bool look(std::optional<Duration> timeout) noexcept;
  bool look_with_poll(int wakeup_fd, std::optional<Duration> timeout, bool in_set);
  bool take(std::span<const epoll_event> events) noexcept;
  void take_event(int fd, Entry& entry, std::uint32_t events) noexcept;

  std::optional<detail::Fd> set_;
  std::deque<Entry> entries_;  // by fd number; they do not move
  std::vector<int> changed_;   // what the kernel is to be told of; room for all entries
  Waits polled_;
  Waits due_;
  std::size_t polled_count_ = 0;
  std::vector<pollfd> poll_entries_;
  std::vector<epoll_event> events_;
  std::size_t ghosts_ = 0;  // events since the set was made that were about what nobody can name
  const std::uint32_t generation_mask_;
  std::uint32_t wakeup_generation_ = 0;
  int wakeup_fd_ = -1;  // the one in the set
  bool must_renew_ = false;
  bool has_pwait2_ = true;
  bool dispatching_ = false;
};

}  // namespace assay
