// Time arithmetic saturates, at compile time and at run time, and a conversion never makes a duration shorter.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ratio>

#include <catch2/catch_test_macros.hpp>

#include "assay/clock.hpp"

using namespace std::chrono_literals;
using assay::Duration;
using assay::Instant;
using assay::saturating_add;
using assay::saturating_difference;
using assay::saturating_duration;

namespace {

constexpr Instant at(std::int64_t nanoseconds) { return Instant(Duration(nanoseconds)); }

template <class Rep, class Period>
constexpr std::int64_t ns(std::chrono::duration<Rep, Period> duration) {
  return saturating_duration(duration).count();
}

template <std::intmax_t Numerator, std::intmax_t Denominator, class Rep = std::int64_t>
using In = std::chrono::duration<Rep, std::ratio<Numerator, Denominator>>;

constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t shortest = std::numeric_limits<std::int64_t>::min();

}  // namespace

TEST_CASE("durations of whole nanoseconds are exact, up to the very limits", "[time]") {
  STATIC_REQUIRE(ns(0s) == 0);
  STATIC_REQUIRE(ns(1ns) == 1);
  STATIC_REQUIRE(ns(-7us) == -7000);
  STATIC_REQUIRE(ns(24h) == 86'400'000'000'000);
  STATIC_REQUIRE(ns(Duration::max()) == longest);
  STATIC_REQUIRE(ns(Duration::min()) == shortest);
  STATIC_REQUIRE(ns(9223372036s) == 9'223'372'036'000'000'000);
  STATIC_REQUIRE(ns(In<1, 1, std::int8_t>(-128)) == -128'000'000'000);
  STATIC_REQUIRE(ns(In<1, 1'000'000'000, std::uint64_t>(longest)) == longest);
  CHECK(ns(Duration::max() - 1ns) == longest - 1);
  CHECK(ns(Duration::min() + 1ns) == shortest + 1);
}

TEST_CASE("durations too long for nanoseconds become the longest, or the shortest", "[time]") {
  STATIC_REQUIRE(ns(std::chrono::hours::max()) == longest);
  STATIC_REQUIRE(ns(std::chrono::hours::min()) == shortest);
  STATIC_REQUIRE(ns(std::chrono::years(293)) == longest);
  STATIC_REQUIRE(ns(std::chrono::years(-293)) == shortest);
  STATIC_REQUIRE(ns(9223372037s) == longest);
  STATIC_REQUIRE(ns(In<1, 1, std::uint64_t>(std::numeric_limits<std::uint64_t>::max())) == longest);
  STATIC_REQUIRE(ns(In<1, 1'000'000'000, std::uint64_t>(std::uint64_t{1} << 63U)) == longest);
  STATIC_REQUIRE(ns(In<1, 3>(longest)) == longest);
  STATIC_REQUIRE(ns(In<1, 3>(shortest)) == shortest);
}

TEST_CASE("fractions of a nanosecond are rounded up", "[time]") {
  STATIC_REQUIRE(ns(In<1, 1'000'000'000'000>(1)) == 1);  // a picosecond
  STATIC_REQUIRE(ns(In<1, 1'000'000'000'000>(1000)) == 1);
  STATIC_REQUIRE(ns(In<1, 1'000'000'000'000>(1001)) == 2);
  STATIC_REQUIRE(ns(In<1, 1'000'000'000'000>(-1)) == 0);
  STATIC_REQUIRE(ns(In<1, 1'000'000'000'000>(-1001)) == -1);
  // A picture at 60 Hz lasts 16,666,666.67 ns: longer than a nanosecond, yet no whole number of them.
  STATIC_REQUIRE(ns(In<1, 60>(1)) == 16'666'667);
  STATIC_REQUIRE(ns(In<1, 60>(60)) == 1'000'000'000);
  STATIC_REQUIRE(ns(In<1, 3>(1)) == 333'333'334);
  STATIC_REQUIRE(ns(In<1, 3>(-1)) == -333'333'333);
  STATIC_REQUIRE(ns(In<1, 3>(27'000'000'000)) == 9'000'000'000'000'000'000);  // its product with a second overflows
}

TEST_CASE("floating-point durations: any value is allowed", "[time]") {
  using Seconds = std::chrono::duration<double>;
  using FloatSeconds = std::chrono::duration<float>;
  STATIC_REQUIRE(ns(Seconds(1.5)) == 1'500'000'000);
  STATIC_REQUIRE(ns(Seconds(1e-12)) == 1);
  STATIC_REQUIRE(ns(Seconds(-1e-12)) == 0);
  STATIC_REQUIRE(ns(Seconds(0.0)) == 0);
  STATIC_REQUIRE(ns(FloatSeconds(0.5F)) == 500'000'000);
  CHECK(ns(FloatSeconds(0.1F)) == 100'000'002);  // 0.1F is 0.10000000149...
  CHECK(ns(Seconds(std::numeric_limits<double>::infinity())) == longest);
  CHECK(ns(Seconds(-std::numeric_limits<double>::infinity())) == shortest);
  CHECK(ns(Seconds(1e300)) == longest);
  CHECK(ns(Seconds(-1e300)) == shortest);
  CHECK(ns(Seconds(std::nan(""))) == 0);
  CHECK(ns(FloatSeconds(std::nanf(""))) == 0);
  CHECK(ns(Seconds(std::numeric_limits<double>::denorm_min())) >= 0);
  CHECK(ns(std::chrono::duration<long double, std::nano>(9.3e18L)) == longest);
}

TEST_CASE("adding to an instant stops at the last and the first one", "[time]") {
  STATIC_REQUIRE(saturating_add(at(1), Duration(2)) == at(3));
  STATIC_REQUIRE(saturating_add(at(1), Duration(-2)) == at(-1));
  STATIC_REQUIRE(saturating_add(Instant::max(), Duration(1)) == Instant::max());
  STATIC_REQUIRE(saturating_add(Instant::max(), Duration::max()) == Instant::max());
  STATIC_REQUIRE(saturating_add(Instant::min(), Duration(-1)) == Instant::min());
  STATIC_REQUIRE(saturating_add(Instant::min(), Duration::min()) == Instant::min());
  STATIC_REQUIRE(saturating_add(at(1), Duration::max()) == Instant::max());
  STATIC_REQUIRE(saturating_add(at(-1), Duration::min()) == Instant::min());
  STATIC_REQUIRE(saturating_add(at(0), Duration::max()) == Instant::max());
  STATIC_REQUIRE(saturating_add(Instant::max(), Duration::min()) == at(-1));
  CHECK(saturating_add(at(longest - 1), Duration(1)) == Instant::max());
}

TEST_CASE("the difference of two instants saturates", "[time]") {
  STATIC_REQUIRE(saturating_difference(at(5), at(3)) == Duration(2));
  STATIC_REQUIRE(saturating_difference(at(3), at(5)) == Duration(-2));
  STATIC_REQUIRE(saturating_difference(Instant::max(), Instant::min()) == Duration::max());
  STATIC_REQUIRE(saturating_difference(Instant::min(), Instant::max()) == Duration::min());
  STATIC_REQUIRE(saturating_difference(Instant::max(), at(-1)) == Duration::max());
  STATIC_REQUIRE(saturating_difference(Instant::min(), at(1)) == Duration::min());
  STATIC_REQUIRE(saturating_difference(Instant::max(), Instant::max()) == Duration(0));
  CHECK(saturating_difference(at(0), Instant::min()) == Duration::max());
}
