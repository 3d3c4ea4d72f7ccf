#include "assay/epoll_reactor.hpp"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "assay/audited/system.hpp"
#include "assay/base/check.hpp"

namespace assay {

static_assert(POLLIN == EPOLLIN && POLLOUT == EPOLLOUT && POLLHUP == EPOLLHUP && POLLERR == EPOLLERR,
              "internal: poll and epoll name these events alike");

namespace {

// Numbers from here on (not many systems allow so many files) get no entry: poll(2) waits for them.
constexpr int number_limit = 1 << 20;
constexpr std::size_t batch = 128;
constexpr std::uint32_t wakeup_index = std::numeric_limits<std::uint32_t>::max();

constexpr std::uint64_t make_tag(std::uint32_t index, std::uint32_t generation) noexcept {
  return (std::uint64_t{generation} << 32U) | index;
}

std::uint32_t events_of(Interest interest) noexcept { return static_cast<std::uint32_t>(Reactor::poll_events(interest)); }

std::uint32_t mask_of(unsigned bits) noexcept {
  ASSAY_CHECK(bits >= 1 && bits <= 32, "EpollReactor was given a generation width that is not 1 to 32 bits");
  return std::numeric_limits<std::uint32_t>::max() >> (32U - bits);
}

// What of `all` a wait for `interest` is told.
Readiness part_of(Readiness all, Interest interest) noexcept {
  if (interest == Interest::read) all.writable = false;
  if (interest == Interest::write) all.readable = false;
  return all;
}

}  // namespace

EpollReactor::EpollReactor(unsigned generation_bits) : generation_mask_(mask_of(generation_bits)) {}

EpollReactor::~EpollReactor() {
  for (Entry& entry : entries_) {
    if (entry.source != nullptr) let_go(*std::exchange(entry.source, nullptr));
  }
  let_go_of_all();
}

// ---- Waits come and go -------------------------------------------------------------------------------------------------

EpollReactor::Entry& EpollReactor::entry_of(int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (events_.empty()) events_.resize(batch);
  if (changed_.capacity() <= index) changed_.reserve(std::max(index + 1, 2 * changed_.capacity()));
  while (entries_.size() <= index) entries_.emplace_back();
  return entries_.at(index);
}

void EpollReactor::count(Entry& entry, const FdWait& wait, int by) noexcept {
  const auto step = static_cast<std::uint32_t>(by);
  if (wait.interest() != Interest::write) static_cast<void>(__builtin_add_overflow(entry.readers, step, &entry.readers));
  if (wait.interest() != Interest::read) static_cast<void>(__builtin_add_overflow(entry.writers, step, &entry.writers));
}

void EpollReactor::added(FdWait& wait) ASSAY_NONBLOCKING {
  if (wait.fd() >= number_limit) {
    polled_.push_back(wait);
    wait.home_ = FdWait::Home::polled;
    ++polled_count_;
    return;
  }
  Entry& entry = ASSAY_UNCHECKED(entry_of(wait.fd()));  // growth
  entry.waits.push_back(wait);
  wait.home_ = FdWait::Home::entry;
  count(entry, wait, 1);
  const std::uint32_t needed = events_of(wait.interest());
  const bool will_be_told = wait.relies_on_edges_ && entry.source != nullptr && (entry.told & needed) == needed;
  if (!will_be_told) change(wait.fd(), entry);
}

void EpollReactor::leaving(FdWait& wait) noexcept ASSAY_NONBLOCKING {
  wait.unlink();
  if (wait.home_ == FdWait::Home::entry) count(ASSAY_UNCHECKED(entries_.at(static_cast<std::size_t>(wait.fd()))), wait, -1);
  if (wait.home_ == FdWait::Home::polled) --polled_count_;
}

void EpollReactor::move_to(Waits& list, FdWait::Home home, FdWait& wait) noexcept {
  leaving(wait);
  list.push_back(wait);
  wait.home_ = home;
  if (home == FdWait::Home::polled) ++polled_count_;
}

bool EpollReactor::attached(detail::FdRegistration& source) {
  if (source.fd() < 0 || source.fd() >= number_limit) return false;
  Entry& entry = entry_of(source.fd());
  if (entry.source != nullptr) return false;  // two of one fd: the second does without
  entry.source = &source;
  entry.told = 0;  // the number may be another file's by now
  next_generation(entry);
  if (!entry.waits.empty()) change(source.fd(), entry);
  return true;
}

// The set keeps what it knows of the fd, which is most likely about to be closed.
void EpollReactor::detached(detail::FdRegistration& source) noexcept {
  Entry& entry = entries_.at(static_cast<std::size_t>(source.fd()));
  ASSAY_CHECK(entry.source == &source, "internal: a source was detached that its entry does not know");
  entry.source = nullptr;
  entry.told = 0;
  if (!entry.waits.empty()) change(source.fd(), entry);
}

// ---- Telling the kernel ------------------------------------------------------------------------------------------------

// At the next look the kernel is told. (No allocation: entry_of() has made room.)
void EpollReactor::change(int fd, Entry& entry) noexcept ASSAY_NONBLOCKING {
  if (std::exchange(entry.is_changed, true)) return;
  ASSAY_UNCHECKED(changed_.push_back(fd));
}

void EpollReactor::tell_changes() noexcept {
  const auto tell_all = [this] {
    for (const int fd : changed_) tell(fd, entries_.at(static_cast<std::size_t>(fd)));
    changed_.clear();
  };
  tell_all();
  if (!must_renew_ && ghosts_ <= size() + sources()) return;
  const bool is_new = renew();
  tell_all();
  // A new set knows no ghosts, whatever wrapped. If none was to be had it is tried again the next time: meanwhile an event may
  // come for nobody, no more.
  must_renew_ = !is_new;
}

void EpollReactor::tell(int fd, Entry& entry) noexcept {
  entry.is_changed = false;
  const bool is_unwanted = std::exchange(entry.is_unwanted, false);
  if (entry.waits.empty()) {
    if (is_unwanted && entry.source == nullptr) remove(fd, entry);
    return;
  }
  std::uint32_t events = EPOLLET;
  if (entry.readers > 0) events |= EPOLLIN;
  if (entry.writers > 0) events |= EPOLLOUT;
  if (entry.source != nullptr) {
    if (entry.readers > 0) events |= EPOLLRDHUP | EPOLLPRI;
    events |= entry.told;
  }
  if (!add_or_modify(fd, entry, events)) refuse(entry);
}

// False: epoll does not take this fd, or not now.
bool EpollReactor::add_or_modify(int fd, Entry& entry, std::uint32_t events) noexcept {
  if (!set_ && !make_set()) return false;
  int operation = entry.told != 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  // A number that was closed is no longer in the set (ENOENT), or, as a copy of its file, still is (EEXIST).
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (operation == EPOLL_CTL_ADD) next_generation(entry);
    const std::uint64_t tag = make_tag(static_cast<std::uint32_t>(fd), entry.generation);
    if (audited::change_epoll(set_->number(), operation, fd, events, tag) == 0) {
      entry.told = events;
      return true;
    }
    if (operation == EPOLL_CTL_MOD && errno == ENOENT) {
      operation = EPOLL_CTL_ADD;
    } else if (operation == EPOLL_CTL_ADD && errno == EEXIST) {
      operation = EPOLL_CTL_MOD;
    } else {
      break;
    }
  }
  entry.told = 0;
  return false;
}

void EpollReactor::remove(int fd, Entry& entry) noexcept {
  entry.told = 0;
  if (audited::change_epoll(set_->number(), EPOLL_CTL_DEL, fd, 0, 0) == 0) return;
  next_generation(entry);  // the file that reports has no name any more
  ++ghosts_;
}

// poll(2) is asked instead, which also knows what is wrong.
void EpollReactor::refuse(Entry& entry) noexcept {
  while (FdWait* const wait = entry.waits.front()) move_to(polled_, FdWait::Home::polled, *wait);
  if (entry.source != nullptr) let_go(*std::exchange(entry.source, nullptr));
}

void EpollReactor::next_generation(Entry& entry) noexcept {
  static_cast<void>(__builtin_add_overflow(entry.generation, 1U, &entry.generation));
  entry.generation &= generation_mask_;
  if (entry.generation == 0) must_renew_ = true;
}

// Makes the set, or one in its place, that knows nothing yet. False: no file descriptor was to be had.
bool EpollReactor::make_set() noexcept {
  const int made = audited::make_epoll();
  if (made < 0) return false;
  set_.reset();
  set_.emplace(made);
  ghosts_ = 0;
  wakeup_fd_ = -1;
  return true;
}

// A set in place of the old one, which is to be told of all that waits.
bool EpollReactor::renew() noexcept {
  if (!make_set()) return false;
  int fd = 0;
  for (Entry& entry : entries_) {
    entry.told = 0;
    if (!entry.waits.empty()) change(fd, entry);
    ++fd;
  }
  return true;
}

bool EpollReactor::watch_wakeup(int wakeup_fd) noexcept {
  if (wakeup_fd == wakeup_fd_ || wakeup_fd < 0) return true;
  if (wakeup_fd_ >= 0) return false;
  const std::uint64_t tag = make_tag(wakeup_index, wakeup_generation_);
  if (audited::change_epoll(set_->number(), EPOLL_CTL_ADD, wakeup_fd, EPOLLIN, tag) != 0) return false;
  wakeup_fd_ = wakeup_fd;
  return true;
}

void EpollReactor::forget_wakeup(int wakeup_fd) noexcept {
  if (wakeup_fd_ < 0 || wakeup_fd != wakeup_fd_) return;
  static_cast<void>(audited::change_epoll(set_->number(), EPOLL_CTL_DEL, wakeup_fd, 0, 0));
  static_cast<void>(__builtin_add_overflow(wakeup_generation_, 1U, &wakeup_generation_));
  wakeup_fd_ = -1;
}

// ---- Looking -----------------------------------------------------------------------------------------------------------

bool EpollReactor::wait(int wakeup_fd, std::optional<Duration> timeout) {
  ASSAY_CHECK(!dispatching_, "a Reactor was asked to wait by a waker that it was waking");
  tell_changes();
  const bool in_set = size() > polled_count_;
  const bool sleeps_a_while = timeout && *timeout > Duration::zero();
  const bool by_set = in_set && polled_count_ == 0 && watch_wakeup(wakeup_fd) && (has_pwait2_ || !sleeps_a_while);
  const bool woken = by_set ? look(timeout) : look_with_poll(wakeup_fd, timeout, in_set);
  dispatching_ = true;
  while (FdWait* const wait = due_.front()) make_ready(*wait, wait->readiness());
  dispatching_ = false;
  return woken;
}

bool EpollReactor::look(std::optional<Duration> timeout) noexcept {
  const bool sleeps_a_while = timeout && *timeout > Duration::zero();
  int count = 0;
  if (sleeps_a_while) {
    count = audited::wait_epoll(set_->number(), events_, detail::to_timespec(timeout->count()));
  } else {
    count = audited::wait_epoll(set_->number(), events_, timeout ? 0 : -1);
  }
  if (count >= 0) return take(std::span(events_).first(static_cast<std::size_t>(count)));
  const int error = errno;
  if (error == EINTR) return false;
  // An old kernel, or a filter of system calls that has not heard of it: the caller looks again, with poll(2).
  if (sleeps_a_while && (error == ENOSYS || error == EPERM)) {
    has_pwait2_ = false;
    return false;
  }
  detail::fail_with_errno("epoll refused to wait (did somebody close or replace the epoll set of an executor?)", __FILE__, __LINE__, error);
}

bool EpollReactor::look_with_poll(int wakeup_fd, std::optional<Duration> timeout, bool in_set) {
  poll_entries_.clear();
  poll_entries_.push_back(pollfd{wakeup_fd, POLLIN, 0});
  poll_entries_.push_back(pollfd{in_set ? set_->number() : -1, POLLIN, 0});
  for (const FdWait* wait = polled_.front(); wait != nullptr; wait = polled_.next(*wait)) {
    // A number that was closed, and then our set got it: for who waits it is closed still, as this one is.
    const bool is_ours = set_ && set_->number() == wait->fd();
    poll_entries_.push_back(pollfd{is_ours ? std::numeric_limits<int>::max() : wait->fd(), poll_events(wait->interest()), 0});
  }
  detail::wait_for(poll_entries_, timeout ? std::optional(timeout->count()) : std::nullopt);
  bool woken = poll_entries_.at(0).revents != 0;
  std::size_t place = 2;
  for (FdWait* wait = polled_.front(); wait != nullptr; ++place) {
    FdWait* const next = polled_.next(*wait);
    if (const short events = poll_entries_.at(place).revents; events != 0) {
      wait->readiness_ = readiness_of(events);
      move_to(due_, FdWait::Home::due, *wait);
    }
    wait = next;
  }
  if (poll_entries_.at(1).revents != 0 && look(Duration::zero())) woken = true;
  return woken;
}

// Puts what is ready into due_. True: the wakeup fd is readable. No code of others runs.
bool EpollReactor::take(std::span<const epoll_event> events) noexcept {
  bool woken = false;
  for (const epoll_event& event : events) {
    const std::uint64_t tag = audited::tag_of(event);
    const auto index = static_cast<std::uint32_t>(tag & wakeup_index);
    if (tag == make_tag(wakeup_index, wakeup_generation_)) {
      woken = true;
    } else if (index < entries_.size() && tag == make_tag(index, entries_.at(index).generation)) {
      take_event(static_cast<int>(index), entries_.at(index), event.events);
    } else {
      ++ghosts_;
    }
  }
  return woken;
}

void EpollReactor::take_event(int fd, Entry& entry, std::uint32_t events) noexcept {
  constexpr std::uint32_t known = EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR;
  const Readiness all = readiness_of(static_cast<short>(events & known));
  const bool ended = (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) != 0;
  if (detail::FdRegistration* const source = entry.source) {
    source->readable |= all.readable || ended;
    source->writable |= all.writable || all.hangup || all.error;
    source->ended |= ended;
    source->urgent |= (events & EPOLLPRI) != 0;
  }
  bool is_taken = entry.source != nullptr;
  for (FdWait* wait = entry.waits.front(); wait != nullptr;) {
    FdWait* const next = entry.waits.next(*wait);
    const Readiness part = part_of(all, wait->interest());
    if (part != Readiness{}) {
      wait->readiness_ = part;
      move_to(due_, FdWait::Home::due, *wait);
      is_taken = true;
    }
    wait = next;
  }
  if (is_taken) return;
  entry.is_unwanted = true;
  change(fd, entry);
}

// ---- Checks ------------------------------------------------------------------------------------------------------------

void EpollReactor::check_backend() const noexcept {
  std::size_t in_lists = polled_.check_deep() + due_.check_deep();
  std::size_t changed = 0;
  std::size_t attached = 0;
  for (const Entry& entry : entries_) {
    in_lists += entry.waits.check_deep();
    std::uint32_t readers = 0;
    std::uint32_t writers = 0;
    for (const FdWait* wait = entry.waits.front(); wait != nullptr; wait = entry.waits.next(*wait)) {
      ASSAY_CHECK(wait->home_ == FdWait::Home::entry, "internal: a wait is in another list than it says");
      readers += wait->interest() != Interest::write ? 1 : 0;
      writers += wait->interest() != Interest::read ? 1 : 0;
    }
    ASSAY_CHECK(readers == entry.readers && writers == entry.writers, "internal: an epoll entry has miscounted its waits");
    if (entry.source != nullptr) {
      ++attached;
      ASSAY_CHECK(reactor_of(*entry.source) == this, "internal: an epoll entry has the source of another reactor");
    }
    if (entry.is_changed) ++changed;
    // What waits will be reported: the set was told, or will be.
    const std::uint32_t needed = (readers > 0 ? EPOLLIN : 0U) | (writers > 0 ? EPOLLOUT : 0U);
    ASSAY_CHECK(entry.is_changed || (entry.told & needed) == needed, "internal: the epoll set does not know of a wait");
  }
  ASSAY_CHECK(in_lists == size() && changed == changed_.size() && attached == sources(), "internal: an epoll entry was lost");
  for (const int fd : changed_) {
    ASSAY_CHECK(entries_.at(static_cast<std::size_t>(fd)).is_changed, "internal: an epoll entry was lost");
  }
}

}  // namespace assay
