// Checks what is handed to an endpoint, and what it answers. This is a part of physzoo.hpp. SPDX-License-Identifier: Apache-2.0

#ifndef PHYSZOO_INPUTS_HPP
#define PHYSZOO_INPUTS_HPP

#include "physzoo_jets.hpp"

namespace physzoo {

/// Says which values are refused.
struct Checks {
  bool finite = true;  ///< NaN and infinity
  bool range = true;   ///< values, jets and answers outside the trained range, where the mask says that they are real
};

namespace detail {

/// The trained range is held in the dtype of the tensor: one number, or one for each element of the last axis. Where values are
/// listed, they alone are inside.
template <class T>
struct Range {
  std::vector<T> low, high;
  std::vector<std::int64_t> values;
  bool bounded, codes;

  explicit Range(const TensorSpec& tensor)
      : low(bound(tensor.low, std::numeric_limits<T>::lowest())),
        high(bound(tensor.high, std::numeric_limits<T>::max())),
        values(tensor.values),
        bounded(!std::is_integral_v<T> || !tensor.low.empty() || !tensor.high.empty() || !values.empty()),
        codes(std::is_integral_v<T> && are_pdg_codes(values)) {
    const auto size = std::max(low.size(), high.size());
    low.resize(size, low.front());
    high.resize(size, high.front());
  }

  bool inside(T value, std::size_t i) const {
    if constexpr (std::is_integral_v<T>)
      if (!values.empty()) return std::binary_search(values.begin(), values.end(), static_cast<std::int64_t>(value));
    return (value >= low[i]) & (value <= high[i]);
  }

  /// Tells whether all are numbers in the range, in loops that a compiler can make into vectors.
  bool inside(const std::vector<T>& given) const {
    bool all = true;
    if (low.size() == 1 && values.empty()) {
      const T lowest = low[0], highest = high[0];
      for (T value : given) all &= finite(value) & (value >= lowest) & (value <= highest);
      return all;
    }
    for (std::size_t start = 0; start < given.size(); start += low.size())
      for (std::size_t i = 0; i < low.size(); ++i) all &= finite(given[start + i]) & inside(given[start + i], i);
    return all;
  }

 private:
  static std::vector<T> bound(const std::vector<double>& given, T open) {
    std::vector<T> numbers;
    for (double number : given) numbers.push_back(nearest(number));  // rounded once, as in Python
    if (numbers.empty()) numbers.push_back(open);
    return numbers;
  }

  static T nearest(double number) {
    if (number <= static_cast<double>(std::numeric_limits<T>::lowest())) return std::numeric_limits<T>::lowest();
    if (number >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    return static_cast<T>(number);
  }
};

/// Counts the elements that are refused for one reason.
struct Refused {
  std::size_t count = 0, first = 0;

  void add(std::size_t at) {
    if (count++ == 0) first = at;
  }
};

inline Shape position(const Shape& shape, std::size_t flat) {
  Shape at(shape.size());
  for (auto axis = shape.size(); axis-- > 0;) {
    at[axis] = static_cast<std::int64_t>(flat) % shape[axis];
    flat /= static_cast<std::size_t>(shape[axis]);
  }
  return at;
}

inline std::string place(const Shape& shape, std::size_t flat) { return text_of(position(shape, flat)); }

/// A blank and the unit of an element, or nothing where it has none.
inline std::string unit(const TensorSpec& tensor, const Shape& at) {
  std::string found = tensor.unit;
  for (std::size_t i = 0; i < tensor.axes.size(); ++i)
    if (!tensor.axes[i].units.empty()) found = tensor.axes[i].units[static_cast<std::size_t>(at[i + 1])];
  return found.empty() || found == "1" ? "" : " " + found;
}

/// Each free axis has its length in one call here, and the input that has it.
using Lengths = std::map<std::string, std::pair<std::int64_t, const TensorSpec*>>;

/// Checks the inputs of one endpoint. It is made once, since ranges are copied.
class InputCheck {
 public:
  explicit InputCheck(const EndpointSpec& spec) : spec_(spec) {
    for (const auto& tensor : spec.inputs)
      with_type(tensor.dtype, [&](auto zero) { ranges_.emplace_back(Range<decltype(zero)>(tensor)); });
    for (const auto* tensors : {&spec.outputs, &spec.inputs})
      for (const auto& tensor : *tensors)
        for (const auto& axis : tensor.axes)
          if (!axis.free) fixed_[axis.name] = axis.most;
  }

  /// Returns the lengths of the free axes; the first dimension of every input is the batch. Throws InputError.
  Lengths operator()(const Tensors& inputs, Checks checks) const {
    names(inputs);
    Lengths lengths;
    const auto& first = spec_.inputs.front();
    for (const auto& tensor : spec_.inputs) {
      const auto& given = inputs.at(tensor.name);
      shape(tensor, given);
      if (given.shape.front() != inputs.at(first.name).shape.front())
        throw InputError(text("inputs must have the same number of rows, given ", given.shape.front(), " of ", tensor.name,
                              " and ", inputs.at(first.name).shape.front(), " of ", first.name));
      agree(tensor, given, lengths);
    }
    for (std::size_t i = 0; i < ranges_.size(); ++i)
      std::visit([&](const auto& range) { values(spec_.inputs[i], range, inputs, lengths, checks); }, ranges_[i]);
    return lengths;
  }

 private:
  void names(const Tensors& inputs) const {
    bool named = inputs.size() == spec_.inputs.size();
    for (const auto& tensor : spec_.inputs) named = named && inputs.count(tensor.name);
    if (named) return;
    std::string expected, given;
    for (const auto& tensor : spec_.inputs) expected += " " + tensor.name;
    for (const auto& input : inputs) given += " " + input.first;
    throw InputError("endpoint " + spec_.name + ": expected the inputs" + expected + ", given" +
                     (given.empty() ? " none" : given));
  }

  static void shape(const TensorSpec& tensor, const Tensor& given) {
    if (given.dtype() != tensor.dtype || (given.dtype() != DType::float32 && !given.values.empty()))
      throw InputError(text("input ", tensor.name, ": expected dtype ", text_of(tensor.dtype), ", given ",
                            text_of(given.dtype()), given.dtype() != tensor.dtype ? "" : " and float32 at once"));
    if (given.shape.empty() || !fits(given.shape, tensor))
      throw InputError(
          text("input ", tensor.name, ": expected shape ", expected_shape(tensor), ", given ", text_of(given.shape)));
    const auto size = with_type(tensor.dtype, [&](auto zero) { return given.as<decltype(zero)>().size(); });
    const auto row = count({given.shape.begin() + 1, given.shape.end()});
    if (size / row != static_cast<std::size_t>(given.shape.front()) || size % row != 0)
      throw InputError(text("input ", tensor.name, ": expected as many values as shape ", text_of(given.shape),
                            " has, given ", size));
  }

  static void agree(const TensorSpec& tensor, const Tensor& given, Lengths& lengths) {
    for (std::size_t i = 0; i < tensor.axes.size(); ++i) {
      if (!tensor.axes[i].free) continue;
      const auto length = given.shape[i + 1];
      const auto& [known, first] = lengths.emplace(tensor.axes[i].name, std::pair{length, &tensor}).first->second;
      if (length != known)
        throw InputError(text("input ", tensor.name, ": expected ", known, " along the axis ", tensor.axes[i].name,
                              ", as in input ", first->name, ", given ", length));
    }
  }

  template <class T>
  void values(const TensorSpec& tensor, const Range<T>& range, const Tensors& inputs, const Lengths& lengths,
              Checks checks) const {
    const auto& given = inputs.at(tensor.name);
    if constexpr (std::is_same_v<T, std::uint8_t>) {
      within<T>(tensor, given, [](T value) { return value <= 1; }, "0 and 1");
    } else {
      if (range.bounded && !range.inside(given.as<T>()))
        refuse(tensor, range, given, tensor.mask.empty() ? nullptr : &inputs.at(tensor.mask), checks);
      if constexpr (std::is_floating_point_v<T>)
        if (checks.range && !tensor.whole.empty()) refuse_fractions(tensor, given.as<T>(), given.shape);
      if (tensor.jet) refuse_jets(tensor, given, inputs.at(tensor.mask).as<std::uint8_t>(), checks.range);
      if constexpr (std::is_integral_v<T>) {
        if (range.codes && checks.range)
          refuse_one_sign(tensor, given.as<T>(), tensor.mask.empty() ? nullptr : &inputs.at(tensor.mask).as<std::uint8_t>());
        if (tensor.index_of.empty()) return;
        const auto free = lengths.find(tensor.index_of);
        const T length = static_cast<T>(free == lengths.end() ? fixed_.at(tensor.index_of) : free->second.first);
        within<T>(tensor, given, [=](T value) { return (value >= 0) & (value < length); },
               text("positions from 0 to ", length - 1, " along the axis ", tensor.index_of));
      }
    }
  }

  /// Refuses a fraction where the training had whole numbers: of a count, it has no probability.
  template <class T>
  static void refuse_fractions(const TensorSpec& tensor, const std::vector<T>& numbers, const Shape& shape) {
    for (const auto element : tensor.whole)
      for (auto i = static_cast<std::size_t>(element); i < numbers.size(); i += static_cast<std::size_t>(shape.back()))
        if (finite(numbers[i]) && numbers[i] != std::nearbyint(numbers[i]))
          throw InputError(text("input ", tensor.name, ": expected whole numbers, as in the simulations, given ", numbers[i],
                                " at ", place(shape, i), ": give the counts themselves, not a rate or what is left after a"
                                " background is subtracted, or let it through with Checks::range = false"));
  }

  /// This holds for padding too, where a graph would read past the end of an array.
  template <class T, class Test>
  static void within(const TensorSpec& tensor, const Tensor& given, Test test, const std::string& expected) {
    const auto& numbers = given.as<T>();
    const auto wrong = std::find_if_not(numbers.begin(), numbers.end(), test);
    if (wrong != numbers.end())
      throw InputError(text("input ", tensor.name, ": expected ", expected, ", given ", +*wrong, " at ",
                            place(given.shape, static_cast<std::size_t>(wrong - numbers.begin()))));
  }

  template <class T>
  static void refuse(const TensorSpec& tensor, const Range<T>& range, const Tensor& given, const Tensor* mask, Checks checks) {
    const auto& numbers = given.as<T>();
    const auto size = range.low.size();
    const auto* real = mask ? &mask->as<std::uint8_t>() : nullptr;
    const auto each = real ? numbers.size() / real->size() : 1;  // elements of the tensor to one of its mask
    Refused infinite, outside;
    for (std::size_t i = 0; i < numbers.size(); ++i)
      if (!finite(numbers[i])) {
        infinite.add(i);
      } else if (!range.inside(numbers[i], i % size) && (!real || (*real)[i / each])) {
        outside.add(i);
      }
    if (infinite.count && checks.finite)
      throw InputError(text("input ", tensor.name, ": ", infinite.count, " values are NaN or infinite, the first at ",
                            place(given.shape, infinite.first),
                            real && !(*real)[infinite.first / each] ? "; fill the padding with zeros" : "",
                            "; Checks::finite = false lets them through"));
    if (outside.count && checks.range && !range.values.empty()) {
      std::string known;
      for (auto value : range.values) known += text(known.empty() ? "" : ", ", value);
      throw InputError(text("input ", tensor.name, ": ", outside.count,
                            " values are none of those that are known, the first at ", place(given.shape, outside.first),
                            ": expected one of ", known, ", given ", numbers[outside.first],
                            "; check the codes, or answer as for something unknown with Checks::range = false"));
    }
    if (outside.count && checks.range)
      throw InputError(text("input ", tensor.name, ": ", outside.count,
                            " values lie outside the trained range, the first at ", place(given.shape, outside.first),
                            ": expected ", range.low[outside.first % size], " to ", range.high[outside.first % size],
                            unit(tensor, position(given.shape, outside.first)), ", given ", numbers[outside.first],
                            "; check the units, or extrapolate with Checks::range = false"));
  }

  const EndpointSpec& spec_;
  std::vector<std::variant<Range<float>, Range<double>, Range<std::int32_t>, Range<std::int64_t>, Range<std::uint8_t>>> ranges_;
  std::map<std::string, std::int64_t> fixed_;
};

/// Checks the answers that guard: inputs that are each in its range may be together unlike any that was trained.
class OutputCheck {
 public:
  explicit OutputCheck(const EndpointSpec& spec) {
    for (const auto& tensor : spec.outputs)
      if (!tensor.guards || (tensor.low.empty() && tensor.high.empty())) {
        continue;
      } else if (tensor.dtype == DType::float64) {
        guards_.emplace_back(&tensor, Range<double>(tensor));
      } else {
        guards_.emplace_back(&tensor, Range<float>(tensor));
      }
  }

  /// Throws InputError.
  void operator()(const Tensors& outputs, Checks checks) const {
    if (!checks.range) return;
    for (const auto& [tensor, range] : guards_)
      std::visit([&, spec = tensor](const auto& bounds) { values(*spec, bounds, outputs.at(spec->name), checks); }, range);
  }

 private:
  template <class T>
  static void values(const TensorSpec& tensor, const Range<T>& range, const Tensor& found, Checks checks) {
    const auto& answers = found.as<T>();
    if (range.inside(answers)) return;
    const auto size = range.low.size();
    Refused outside;
    for (std::size_t i = 0; i < answers.size(); ++i)
      if (finite(answers[i]) ? !range.inside(answers[i], i % size) : checks.finite) outside.add(i);
    if (!outside.count) return;
    const auto at = position(found.shape, outside.first);
    throw InputError(text("output ", tensor.name, ": ", outside.count,
                          " values lie outside the trained range, the first at ", text_of(at), ": expected ",
                          range.low[outside.first % size], " to ", range.high[outside.first % size], unit(tensor, at),
                          ", found ", answers[outside.first], ", since the inputs of row ", at.front(),
                          " are together unlike any that was trained; give others, or extrapolate with Checks::range = false"));
  }

  std::vector<std::pair<const TensorSpec*, std::variant<Range<float>, Range<double>>>> guards_;
};

}  // namespace detail
}  // namespace physzoo

#endif
