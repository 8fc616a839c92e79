// Element types, their sizes and torch's promotion rules.
#pragma once
#include <cstdint>

namespace pb {

enum class DType : uint8_t {
  Bool,
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  BFloat16,
  Float32,
  Float64,
  Count
};
inline constexpr int kDTypes = static_cast<int>(DType::Count);

// The ladder of torch's promotion: a higher category always wins over a lower one.
enum class Category : uint8_t { Bool, Integer, Float };

struct DTypeInfo {
  const char* name;        // "float32"
  uint8_t size;            // bytes an element
  Category category;
  const char* legacy;      // "FloatTensor"
  const char* scalar_name; // "Float", as torch's error texts spell it
  const char* c_name;      // "float", as others of them do
};

inline constexpr DTypeInfo kDTypeInfo[kDTypes] = {
    {"bool", 1, Category::Bool, "BoolTensor", "Bool", "bool"},
    {"uint8", 1, Category::Integer, "ByteTensor", "Byte", "unsigned char"},
    {"int8", 1, Category::Integer, "CharTensor", "Char", "signed char"},
    {"int16", 2, Category::Integer, "ShortTensor", "Short", "short int"},
    {"int32", 4, Category::Integer, "IntTensor", "Int", "int"},
    {"int64", 8, Category::Integer, "LongTensor", "Long", "long int"},
    {"float16", 2, Category::Float, "HalfTensor", "Half", "c10::Half"},
    {"bfloat16", 2, Category::Float, "BFloat16Tensor", "BFloat16", "c10::BFloat16"},
    {"float32", 4, Category::Float, "FloatTensor", "Float", "float"},
    {"float64", 8, Category::Float, "DoubleTensor", "Double", "double"},
};

constexpr const DTypeInfo& info(DType d) { return kDTypeInfo[static_cast<int>(d)]; }
constexpr int64_t size_of(DType d) { return info(d).size; }
constexpr bool is_float(DType d) { return info(d).category == Category::Float; }
constexpr bool is_integral(DType d) { return info(d).category == Category::Integer; }

// The common type of two tensors of the same standing (both with axes, or both without).
DType promote(DType a, DType b);

template <DType D> struct CType;
template <> struct CType<DType::Bool> { using type = bool; };
template <> struct CType<DType::UInt8> { using type = uint8_t; };
template <> struct CType<DType::Int32> { using type = int32_t; };
template <> struct CType<DType::Int64> { using type = int64_t; };
template <> struct CType<DType::Float32> { using type = float; };
template <> struct CType<DType::Float64> { using type = double; };

template <class T> constexpr DType dtype_of();
template <> constexpr DType dtype_of<bool>() { return DType::Bool; }
template <> constexpr DType dtype_of<uint8_t>() { return DType::UInt8; }
template <> constexpr DType dtype_of<int32_t>() { return DType::Int32; }
template <> constexpr DType dtype_of<int64_t>() { return DType::Int64; }
template <> constexpr DType dtype_of<float>() { return DType::Float32; }
template <> constexpr DType dtype_of<double>() { return DType::Float64; }

// Calls f.template operator()<T>() with the C++ type of d. False if the type has no storage yet.
template <class F> bool visit_dtype(DType d, F&& f) {
  switch (d) {
    case DType::Bool: f.template operator()<bool>(); return true;
    case DType::UInt8: f.template operator()<uint8_t>(); return true;
    case DType::Int32: f.template operator()<int32_t>(); return true;
    case DType::Int64: f.template operator()<int64_t>(); return true;
    case DType::Float32: f.template operator()<float>(); return true;
    case DType::Float64: f.template operator()<double>(); return true;
    default: return false;
  }
}

}  // namespace pb
