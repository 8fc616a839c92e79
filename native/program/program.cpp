#include "program/program.h"

namespace pb {

void Program::verify() const {
  std::vector<bool> defined(values.size(), false);
  for (size_t v = 0; v < values.size(); ++v) {
    const Value& x = values[v];
    if (x.kind == Value::Kind::Input) {
      if (x.index >= inputs)
        fail(ErrorKind::Value, "program: value %", v, " is input ", x.index, " of ", inputs);
      defined[v] = true;
    } else if (x.kind == Value::Kind::Number) {
      if (x.index >= static_cast<int32_t>(numbers.size()))
        fail(ErrorKind::Value, "program: value %", v, " has no number");
      defined[v] = true;
    }
  }
  int64_t sized = 0;  // expressions before this one can be worked out where we are
  for (size_t k = 0; k < instructions.size(); ++k) {
    const Instruction& i = instructions[k];
    for (int32_t v : i.in) {
      if (v < 0 || v >= static_cast<int32_t>(values.size()) || !defined[v])
        fail(ErrorKind::Value, "program: instruction ", k, " (", i.op->name, ") reads %", v,
             ", which is not defined yet");
    }
    for (const Param& p : i.params) {
      if (!p.symbolic) continue;
      if (p.value < 0 || p.value >= static_cast<int64_t>(ints.size()))
        fail(ErrorKind::Value, "program: instruction ", k, " (", i.op->name,
             ") has a parameter without expression");
      // Up to the one asked for, so that expressions can be worked out in order.
      for (; sized <= p.value; ++sized) {
        const IntExpr& e = ints[sized];
        const bool of_value = e.kind == IntExpr::Kind::Size || e.kind == IntExpr::Kind::Numel;
        if (of_value && (e.a < 0 || e.a >= static_cast<int64_t>(values.size()) || !defined[e.a]))
          fail(ErrorKind::Value, "program: instruction ", k, " (", i.op->name, ") needs the size of %", e.a,
               ", which is not defined yet");
      }
    }
    if (i.op->family == Family::Elementwise && (!i.op->block || i.in.size() != i.op->block->arity))
      fail(ErrorKind::Value, "program: instruction ", k, " (", i.op->name, ") has ", i.in.size(),
           " operands");
    for (int32_t o = 0; o < i.outputs; ++o) defined[i.first_out + o] = true;
  }
  for (int32_t v : outputs) {
    if (v < 0 || v >= static_cast<int32_t>(values.size()) || !defined[v] ||
        values[v].kind == Value::Kind::Number)
      fail(ErrorKind::Value, "program: output %", v, " is not a tensor of the program");
  }
  for (size_t e = 0; e < ints.size(); ++e) {
    if (ints[e].kind >= IntExpr::Kind::Add &&
        (ints[e].a >= static_cast<int64_t>(e) || ints[e].b >= static_cast<int64_t>(e)))
      fail(ErrorKind::Value, "program: expression ", e, " reads a later one");
  }
}

void Program::find_reads() {
  reads.assign(inputs, false);
  auto mark = [&](int32_t v) {
    if (values[v].kind == Value::Kind::Input) reads[values[v].index] = true;
  };
  for (const Instruction& i : instructions)
    for (int32_t v : i.in) mark(v);
  for (int32_t v : outputs) mark(v);
}

std::string Program::text() const {
  std::ostringstream s;
  auto name = [&](int32_t v) {
    const Value& x = values[v];
    if (x.kind == Value::Kind::Input) return "in" + std::to_string(x.index);
    if (x.kind == Value::Kind::Result) return "%" + std::to_string(v);
    const ScalarExpr& e = numbers[x.index];
    switch (e.kind) {
      case ScalarExpr::Kind::Const:
        return e.constant.kind == Scalar::Kind::Float ? std::to_string(e.constant.d)
                                                      : std::to_string(e.constant.i);
      case ScalarExpr::Kind::Input: return "scalar" + std::to_string(e.a);
      default: return "number" + std::to_string(x.index);
    }
  };
  for (const Instruction& i : instructions) {
    for (int32_t o = 0; o < i.outputs; ++o) s << (o ? ", " : "  ") << "%" << i.first_out + o;
    s << " = " << i.op->name;
    for (int32_t v : i.in) s << " " << name(v);
    if (!i.params.empty()) {
      s << " [";
      for (size_t k = 0; k < i.params.size(); ++k)
        s << (k ? ", " : "") << (i.params[k].symbolic ? "size" : "") << i.params[k].value;
      s << "]";
    }
    s << "\n";
  }
  s << "  return";
  for (size_t k = 0; k < outputs.size(); ++k) {
    s << " " << name(outputs[k]);
    if (!in_place.empty() && in_place[k] >= 0) s << " -> in" << in_place[k];
  }
  s << "\n";
  return s.str();
}

}  // namespace pb
