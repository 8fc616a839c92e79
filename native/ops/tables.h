// The parts of kernel_rows() and view_rows(), one for each file of ops.
#pragma once
#include <span>

#include "program/op.h"

namespace pb {

std::span<const KernelRow> view_gradient_rows();
std::span<const KernelRow> reduction_rows();
std::span<const KernelRow> row_rows();
std::span<const KernelRow> order_rows();
std::span<const KernelRow> product_rows();
std::span<const KernelRow> indexing_rows();
std::span<const KernelRow> axis_index_rows();
std::span<const KernelRow> loss_rows();
std::span<const KernelRow> assembling_rows();

}  // namespace pb
