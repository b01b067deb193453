// Runs a model that `zoo export` wrote, in C++17 and ONNX Runtime: tensors go in and out by name, and names, dtypes, shapes,
// values, masks and positions are checked.
//
//     physzoo::Model model("ive-pendulum");  // once; opens every graph
//     auto latents = model.endpoint("encode").run({{"trajectory", {{1, 50}, x}}});  // const, from any thread
//     latents.at("mean").values;
//
// It needs the three headers beside it, nlohmann_json, ONNX Runtime from 1.17 on and a little-endian machine.
// SPDX-License-Identifier: Apache-2.0

#ifndef PHYSZOO_HPP
#define PHYSZOO_HPP

#if __has_include(<onnxruntime_cxx_api.h>)
#include <onnxruntime_cxx_api.h>
#elif __has_include(<onnxruntime/onnxruntime_cxx_api.h>)  // CMSSW
#include <onnxruntime/onnxruntime_cxx_api.h>
#else  // installed from source, as in Athena and Key4hep
#include <core/session/onnxruntime_cxx_api.h>
#endif

#include <memory>

#include "physzoo_inputs.hpp"

namespace physzoo {

/// How far an output is from its test tensor; infinite where it is not a number.
struct Comparison {
  std::string endpoint, output;
  std::int64_t rows;
  double whole;   ///< largest |difference|, all rows in one batch
  double single;  ///< the same, row by row
  bool ok;        ///< both within the tolerance
};

/// Options for `Model`: one thread, as frameworks run an event a thread, unless told otherwise.
inline Ort::SessionOptions session_options(int threads = 1) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(threads);
  options.SetInterOpNumThreads(1);
  return options;
}

/// One function of a model, over one graph. Made by `Model`.
class Endpoint {
 public:
  Endpoint(const Ort::Env& env, const std::filesystem::path& folder, const ModelSpec& model, const EndpointSpec& spec,
           const Ort::SessionOptions& options)
      : spec_(spec), check_(spec_), guard_(spec_), memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
    const auto file = folder / (spec.name + ".onnx");
    if (!std::filesystem::is_regular_file(file))
      throw IntegrityError(detail::text(file.string(), ": no such file: copy the exported folder again"));
    try {
      session_ = std::make_unique<Ort::Session>(env, file.c_str(), options);
    } catch (const Ort::Exception& error) {
      throw IntegrityError(detail::text(file.string(), ": ONNX Runtime cannot load this graph: ", error.what()));
    }
    expect(file, model.name + "@" + model.revision + " " + spec.name,
           property("model") + "@" + property("revision") + " " + property("endpoint"));
    expect(file, "the inputs" + described(spec_.inputs), "the inputs" + graph_inputs());
    expect(file, "the outputs" + described(spec_.outputs), "the outputs" + graph_outputs());
    for (const auto& tensor : spec_.inputs) input_names_.push_back(tensor.name.c_str());
    for (const auto& tensor : spec_.outputs) output_names_.push_back(tensor.name.c_str());
  }

  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  const EndpointSpec& spec() const { return spec_; }

  /// Gives the outputs by name, the batch first. Throws InputError, and Error where ONNX Runtime fails. Any number of threads
  /// may call it.
  Tensors run(const Tensors& inputs, Checks checks = {}) const {
    const auto lengths = check_(inputs, checks);
    const auto rows = inputs.at(spec_.inputs.front().name).shape.front();
    Tensors outputs;
    std::vector<Ort::Value> given, answers;
    for (const auto& tensor : spec_.outputs) {
      Shape shape{rows};
      for (const auto& axis : tensor.axes) shape.push_back(axis.free ? lengths.at(axis.name).first : axis.most);
      auto& output = outputs[tensor.name] = detail::zeros(tensor.dtype, shape);
      answers.push_back(view(output));
    }
    if (rows == 0) return outputs;  // some operators refuse an empty batch
    for (const auto& tensor : spec_.inputs) given.push_back(view(inputs.at(tensor.name)));
    try {
      session_->Run(Ort::RunOptions{nullptr}, input_names_.data(), given.data(), given.size(), output_names_.data(),
                    answers.data(), answers.size());
    } catch (const Ort::Exception& error) {
      throw Error(detail::text("endpoint ", spec_.name, ": ", error.what()));
    }
    guard_(outputs, checks);
    return outputs;
  }

 private:
  static void expect(const std::filesystem::path& file, const std::string& expected, const std::string& found) {
    if (found != expected)
      throw IntegrityError(detail::text(file.string(), ": expected ", expected, " as in ", detail::kSpecFile, ", found ", found,
                                        ": export the model again"));
  }

  std::string property(const char* key) const {
    Ort::AllocatorWithDefaultOptions allocator;
    const auto value = session_->GetModelMetadata().LookupCustomMetadataMapAllocated(key, allocator);
    return value ? value.get() : "none";
  }

  /// Describes tensors in alphabetical order, such as ` mask bool (batch, particle) x float32 (batch, particle, 4)`.
  static std::string joined(const std::map<std::string, std::string>& tensors) {
    std::string all;
    for (const auto& [name, described] : tensors) all += " " + name + " " + described;
    return all;
  }

  static std::string described(const std::vector<TensorSpec>& tensors) {
    std::map<std::string, std::string> all;
    for (const auto& tensor : tensors) {
      auto& described = all[tensor.name] = std::string(detail::text_of(tensor.dtype)) + " (batch";
      for (const auto& axis : tensor.axes) described += ", " + (axis.free ? axis.name : std::to_string(axis.most));
      described += ")";
    }
    return joined(all);
  }

  std::string graph_inputs() const {
    Ort::AllocatorWithDefaultOptions allocator;
    std::map<std::string, std::string> all;
    for (std::size_t i = 0; i < session_->GetInputCount(); ++i)
      all[session_->GetInputNameAllocated(i, allocator).get()] = described(session_->GetInputTypeInfo(i));
    return joined(all);
  }

  std::string graph_outputs() const {
    Ort::AllocatorWithDefaultOptions allocator;
    std::map<std::string, std::string> all;
    for (std::size_t i = 0; i < session_->GetOutputCount(); ++i)
      all[session_->GetOutputNameAllocated(i, allocator).get()] = described(session_->GetOutputTypeInfo(i));
    return joined(all);
  }

  /// A free dimension is described by its name, and the first one is the batch whatever its name.
  static std::string described(const Ort::TypeInfo& info) {
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return "of another type";
    const auto tensor = info.GetTensorTypeAndShapeInfo();
    const auto shape = tensor.GetShape();
    std::vector<const char*> names(shape.size());
    tensor.GetSymbolicDimensions(names.data(), names.size());
    std::string inner;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const std::string free = i == 0 ? "batch" : *names[i] ? names[i] : "?";
      inner += (i ? ", " : "") + (shape[i] < 0 ? free : std::to_string(shape[i]));
    }
    return std::string(dtype_name(tensor.GetElementType())) + " (" + inner + ")";
  }

  static const char* dtype_name(ONNXTensorElementDataType type) {
    switch (type) {
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return detail::text_of(DType::float32);
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return detail::text_of(DType::float64);
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return detail::text_of(DType::int32);
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return detail::text_of(DType::int64);
      case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: return detail::text_of(DType::boolean);
      default: return "another dtype";
    }
  }

  /// ONNX Runtime takes no pointer to const, and does not write to inputs.
  Ort::Value view(const Tensor& tensor) const {
    return detail::with_type(tensor.dtype(), [&](auto zero) {
      using T = decltype(zero);
      using Stored = std::conditional_t<std::is_same_v<T, std::uint8_t>, bool, T>;
      const auto& values = tensor.as<T>();
      auto* data = reinterpret_cast<Stored*>(const_cast<T*>(values.data()));
      return Ort::Value::CreateTensor<Stored>(memory_, data, values.size(), tensor.shape.data(), tensor.shape.size());
    });
  }

  EndpointSpec spec_;
  detail::InputCheck check_;  // after spec_, to which both refer
  detail::OutputCheck guard_;
  Ort::MemoryInfo memory_;
  std::unique_ptr<Ort::Session> session_;
  std::vector<const char*> input_names_, output_names_;  // point into spec_
};

/// All endpoints of an exported folder.
class Model {
 public:
  /// Throws IntegrityError where a file is missing, damaged or not this model's.
  explicit Model(const std::filesystem::path& folder, const Ort::SessionOptions& options = session_options())
      : folder_(folder), env_(ORT_LOGGING_LEVEL_WARNING, "physzoo") {
    if (!std::filesystem::is_directory(folder))
      throw IntegrityError(detail::text(folder.string(), ": no such folder: expected one that zoo export wrote"));
    spec_ = detail::SpecReader(folder).spec();
    for (const auto& endpoint : spec_.endpoints) endpoints_.try_emplace(endpoint.name, env_, folder, spec_, endpoint, options);
  }

  const ModelSpec& spec() const { return spec_; }

  /// Throws InputError where there is none of this name. Lives as long as the model.
  const Endpoint& endpoint(const std::string& name) const {
    const auto found = endpoints_.find(name);
    if (found != endpoints_.end()) return found->second;
    std::string known;
    for (const auto& endpoint : endpoints_) known += " " + endpoint.first;
    throw InputError(spec_.name + " has no endpoint " + name + ", it has" + known);
  }

  /// Runs every endpoint on the shipped test tensors, whole and row by row. Throws IntegrityError where these are damaged.
  std::vector<Comparison> check() const {
    std::vector<Comparison> all;
    const Checks none{false, false};  // the files are in question here, not the inputs
    for (const auto& spec : spec_.endpoints) {
      const auto& endpoint = endpoints_.at(spec.name);
      const auto inputs = tensors(spec, spec.inputs, "in"), expected = tensors(spec, spec.outputs, "out");
      const auto rows = inputs.begin()->second.shape.front();
      const auto whole = endpoint.run(inputs, none);
      const auto line = all.size();
      for (const auto& tensor : spec.outputs) {
        const auto& [shape, found] = std::pair{whole.at(tensor.name).shape, expected.at(tensor.name).shape};
        if (shape != found)
          throw IntegrityError(detail::text(file(spec, "out", tensor).string(), ": expected shape ", detail::text_of(shape),
                                            ", found ", detail::text_of(found), ": copy the exported folder again"));
        auto& added = all.emplace_back(Comparison{spec.name, tensor.name, rows, 0, 0, true});
        added.whole = detail::largest(tensor, whole.at(tensor.name), expected.at(tensor.name), added.ok);
      }
      for (std::int64_t row = 0; row < rows; ++row) {
        Tensors one;
        for (const auto& [name, tensor] : inputs) one[name] = detail::one_row(tensor, row);
        const auto single = endpoint.run(one, none);
        for (std::size_t i = 0; i < spec.outputs.size(); ++i) {
          const auto& tensor = spec.outputs[i];
          const auto truth = detail::one_row(expected.at(tensor.name), row);
          const auto difference = detail::largest(tensor, single.at(tensor.name), truth, all[line + i].ok);
          all[line + i].single = std::max(all[line + i].single, difference);
        }
      }
    }
    return all;
  }

 private:
  std::filesystem::path file(const EndpointSpec& endpoint, const char* side, const TensorSpec& tensor) const {
    return folder_ / "clients" / endpoint.name / side / (tensor.name + ".npy");
  }

  Tensors tensors(const EndpointSpec& endpoint, const std::vector<TensorSpec>& specs, const char* side) const {
    Tensors all;
    for (const auto& tensor : specs) all[tensor.name] = detail::read_npy(file(endpoint, side, tensor), tensor);
    return all;
  }

  std::filesystem::path folder_;
  Ort::Env env_;
  ModelSpec spec_;
  std::map<std::string, Endpoint> endpoints_;  // after env_, which it needs to the last
};

}  // namespace physzoo

#endif
