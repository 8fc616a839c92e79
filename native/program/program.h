// A program: a flat list of instructions over values, independent of sizes. Traced in Python, run here.
#pragma once
#include <string>
#include <vector>

#include "program/op.h"

namespace pb {

// An integer known once the inputs' metas are: a size, a parameter of the call, or arithmetic on them.
struct IntExpr {
  enum class Kind : uint8_t { Const, Size, Numel, Param, Add, Sub, Mul, FloorDiv, Min, Max };
  Kind kind;
  int64_t a, b;  // Size: value, axis; Numel: value; Param: index; arithmetic: two expressions
};

// Holds for the program to be the right one: lhs relation rhs (both expressions).
struct Guard {
  enum class Relation : uint8_t { Eq, Ne, Lt, Le };
  Relation relation;
  int32_t lhs, rhs;
  bool expected;
};

// A number computed once a run, in double precision: a run-time scalar, or arithmetic on them.
struct ScalarExpr {
  enum class Kind : uint8_t { Const, Input, Size, Add, Sub, Mul, Div, Pow, Neg };
  Kind kind;
  int32_t a = 0, b = 0;  // Input: index; Size: int expression; arithmetic: two scalar expressions
  Scalar constant;
};

struct Value {
  enum class Kind : uint8_t { Input, Result, Number };
  Kind kind;
  int32_t index;  // Input: position; Result: instruction; Number: scalar expression
  int32_t output = 0;
};

struct Param {
  bool symbolic;
  int64_t value;  // the integer, or the index of an expression
};

struct Instruction {
  const Op* op;
  std::vector<int32_t> in;  // values
  std::vector<Param> params;
  int32_t first_out;        // results are the values first_out, first_out + 1, ...
  int32_t outputs;
};

class Program {
 public:
  int32_t inputs = 0, scalars = 0, params = 0;
  std::vector<IntExpr> ints;
  std::vector<ScalarExpr> numbers;
  std::vector<Guard> guards;
  std::vector<Value> values;
  std::vector<Instruction> instructions;
  std::vector<int32_t> outputs;
  std::vector<int32_t> in_place;  // for each output: the input whose memory takes it, or -1
  std::vector<bool> reads;        // for each input: whether its elements are read (else only its meta)

  void retain() { ++refs_; }
  void release() {
    if (--refs_ == 0) delete this;
  }

  // Throws with the instruction's number if an operand is not defined before its use, counts disagree, ...
  void verify() const;
  // Finds which inputs' elements are read; views of an input that is an output count as read.
  void find_reads();
  std::string text() const;

 private:
  uint32_t refs_ = 0;
};

}  // namespace pb
