// Holds tensors of every dtype, and reads their files. This is a part of physzoo.hpp. SPDX-License-Identifier: Apache-2.0

#ifndef PHYSZOO_TENSORS_HPP
#define PHYSZOO_TENSORS_HPP

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <variant>

#include "physzoo_spec.hpp"

namespace physzoo {

/// A tensor has its numbers in C order, and its first axis is the batch. They are in `values` where they are float32, and in
/// `other` where they are of another dtype.
struct Tensor {
  Shape shape;
  std::vector<float> values;
  /// Numbers of float64, int32 and int64, and truth values as bytes of 0 and 1, since std::vector<bool> is no array.
  std::variant<std::monostate, std::vector<double>, std::vector<std::int32_t>, std::vector<std::int64_t>,
               std::vector<std::uint8_t>>
      other;

  Tensor() = default;
  Tensor(Shape shape_, std::vector<float> values_) : shape(std::move(shape_)), values(std::move(values_)) {}
  template <class T>
  Tensor(Shape shape_, std::vector<T> values_) : shape(std::move(shape_)) {
    if constexpr (std::is_same_v<T, bool>)
      other = std::vector<std::uint8_t>(values_.begin(), values_.end());
    else
      other = std::move(values_);
  }

  DType dtype() const { return static_cast<DType>(other.index()); }

  /// Gives the numbers as float, double, std::int32_t, std::int64_t or, of a bool tensor, std::uint8_t. Throws Error where the
  /// tensor holds another dtype.
  template <class T>
  const std::vector<T>& as() const {
    if constexpr (std::is_same_v<T, float>) {
      if (other.index() == 0) return values;
    } else if (const auto* found = std::get_if<std::vector<T>>(&other)) {
      return *found;
    }
    throw Error(detail::text("this tensor holds ", detail::text_of(dtype()), ": ask for numbers of that dtype"));
  }

  template <class T>
  std::vector<T>& as() {
    return const_cast<std::vector<T>&>(std::as_const(*this).as<T>());
  }
};

using Tensors = std::map<std::string, Tensor>;

namespace detail {

static_assert(DType::float64 == DType{1} && DType::int32 == DType{2} && DType::int64 == DType{3} && DType::boolean == DType{4});

/// Calls the function with a number of the type that holds the dtype.
template <class Function>
decltype(auto) with_type(DType dtype, Function&& function) {
  switch (dtype) {
    case DType::float32: return function(float{});
    case DType::float64: return function(double{});
    case DType::int32: return function(std::int32_t{});
    case DType::int64: return function(std::int64_t{});
    default: return function(std::uint8_t{});
  }
}

/// Looks at the bits, since -ffast-math optimizes std::isfinite away.
template <class T>
bool finite(T value) {
  if constexpr (std::is_integral_v<T>) {
    return true;
  } else {
    std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t> bits;
    std::memcpy(&bits, &value, sizeof bits);
    constexpr auto exponent = sizeof(T) == 4 ? 0x7f800000u : 0x7ff0000000000000u;
    return (bits & exponent) != exponent;
  }
}

inline std::size_t count(const Shape& shape) {
  std::size_t product = 1;
  for (auto n : shape) product *= static_cast<std::size_t>(n);
  return product;
}

inline Tensor zeros(DType dtype, const Shape& shape) {
  return with_type(dtype, [&](auto zero) { return Tensor(shape, std::vector<decltype(zero)>(count(shape))); });
}

inline bool fits(const Shape& shape, const TensorSpec& tensor) {
  if (shape.size() != tensor.axes.size() + 1 || shape.front() < 0) return false;
  return std::equal(tensor.axes.begin(), tensor.axes.end(), shape.begin() + 1,
                    [](const AxisSpec& axis, std::int64_t n) { return axis.least <= n && n <= axis.most; });
}

/// Reads a tensor from a .npy file as NumPy writes it: version 1.0, C order, little-endian.
inline Tensor read_npy(const std::filesystem::path& file, const TensorSpec& spec) {
  const std::string content = read_file(file), magic("\x93NUMPY\x01\x00", 8);
  auto damaged = [&](const std::string& why) {
    return IntegrityError(text(file.string(), ": ", why, ": copy the exported folder again"));
  };
  if (content.size() < 10 || content.compare(0, 8, magic) != 0) throw damaged("expected a .npy file");
  const auto length = static_cast<unsigned char>(content[8]) + 256u * static_cast<unsigned char>(content[9]);
  constexpr const char* kinds[] = {"<f4", "<f8", "<i4", "<i8", "|b1"};
  const std::string start = text("{'descr': '", kinds[static_cast<int>(spec.dtype)], "', 'fortran_order': False, 'shape': (");
  const std::string header = content.substr(10, length);
  if (header.compare(0, start.size(), start) != 0) throw damaged(text("expected ", text_of(spec.dtype), " in C order"));
  std::string numbers = header.substr(start.size(), header.find(')') - start.size());
  std::replace(numbers.begin(), numbers.end(), ',', ' ');
  std::istringstream stream(numbers);
  stream.imbue(std::locale::classic());
  Shape shape;
  for (std::int64_t n; stream >> n;) shape.push_back(n);
  const auto bytes = content.size() - std::min(content.size(), std::size_t{10} + length);
  return with_type(spec.dtype, [&](auto zero) {
    const bool whole = fits(shape, spec) && shape.front() > 0 && shape.front() <= static_cast<std::int64_t>(bytes) &&
                       bytes == count(shape) * sizeof zero;
    if (!whole)
      throw damaged(text("expected rows of shape ", expected_shape(spec), ", found ", text_of(shape), " in ", bytes, " bytes"));
    std::vector<decltype(zero)> values(bytes / sizeof zero);
    std::memcpy(values.data(), content.data() + content.size() - bytes, bytes);
    return Tensor(shape, std::move(values));
  });
}

inline Tensor one_row(const Tensor& tensor, std::int64_t row) {
  return with_type(tensor.dtype(), [&](auto zero) {
    const auto& values = tensor.as<decltype(zero)>();
    const auto size = static_cast<std::ptrdiff_t>(values.size()) / tensor.shape.front();
    const auto start = values.begin() + row * size;
    Tensor one(tensor.shape, std::vector<decltype(zero)>(start, start + size));
    one.shape.front() = 1;
    return one;
  });
}

/// Gives the largest |difference|, infinite where a number is none; `ok` becomes false where it is outside the tolerance.
inline double largest(const TensorSpec& spec, const Tensor& given, const Tensor& expected, bool& ok) {
  return with_type(spec.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto &a = given.as<T>(), &b = expected.as<T>();
    double worst = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      if (!finite(a[i]) || !finite(b[i])) {
        ok = false;
        return std::numeric_limits<double>::infinity();
      }
      if constexpr (std::is_integral_v<T>) {
        if (a[i] == b[i]) continue;
        ok = false;
        worst = std::max(worst, std::max(1.0, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]))));
      } else {
        const double difference = std::abs(double{a[i]} - double{b[i]});
        const double accepted = spec.absolute[i % spec.absolute.size()];
        const double share = spec.relative[i % spec.relative.size()];
        if (difference > accepted + share * std::abs(double{b[i]})) ok = false;
        worst = std::max(worst, difference);
      }
    }
    return worst;
  });
}

}  // namespace detail
}  // namespace physzoo

#endif
