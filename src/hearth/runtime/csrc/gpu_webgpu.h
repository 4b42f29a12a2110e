/* What the runtime uses of WebGPU's C interface, as wgpu-native 29 has it: webgpu.h of the WebGPU headers project, and of
 * wgpu.h what is wgpu-native's own. Types are declared here, so that nothing of it is needed to build the runtime; the
 * library is loaded when a GPU is asked for. The comment behind a type is its name there: a test compares layouts, values
 * and signatures with the real headers. Members have the names that the specification gives them. */
#ifndef HEARTH_GPU_WEBGPU_H
#define HEARTH_GPU_WEBGPU_H

#include <stddef.h>
#include <stdint.h>

/* The major version, in the highest byte of what the library says. */
enum { HTH_WEBGPU_VERSION = 29 };

/* ---- objects, each counted: released once by whoever made it ---- */

typedef struct wgpu_instance_object *wgpu_instance;                    /* WGPUInstance */
typedef struct wgpu_adapter_object *wgpu_adapter;                      /* WGPUAdapter */
typedef struct wgpu_device_object *wgpu_device;                        /* WGPUDevice */
typedef struct wgpu_queue_object *wgpu_queue;                          /* WGPUQueue */
typedef struct wgpu_buffer_object *wgpu_buffer;                        /* WGPUBuffer */
typedef struct wgpu_shader_module_object *wgpu_shader_module;          /* WGPUShaderModule */
typedef struct wgpu_compute_pipeline_object *wgpu_compute_pipeline;    /* WGPUComputePipeline */
typedef struct wgpu_pipeline_layout_object *wgpu_pipeline_layout;      /* WGPUPipelineLayout */
typedef struct wgpu_bind_group_layout_object *wgpu_bind_group_layout;  /* WGPUBindGroupLayout */
typedef struct wgpu_bind_group_object *wgpu_bind_group;                /* WGPUBindGroup */
typedef struct wgpu_command_encoder_object *wgpu_command_encoder;      /* WGPUCommandEncoder */
typedef struct wgpu_compute_pass_object *wgpu_compute_pass;            /* WGPUComputePassEncoder */
typedef struct wgpu_command_buffer_object *wgpu_command_buffer;        /* WGPUCommandBuffer */
typedef struct wgpu_query_set_object *wgpu_query_set;                  /* WGPUQuerySet */

/* Structures of which only NULL is used. */
typedef struct wgpu_enumerate_options wgpu_enumerate_options; /* WGPUInstanceEnumerateAdapterOptions */

/* ---- values ---- */

enum { /* WGPUBufferUsage, WGPUMapMode */
    WGPU_MAP_READ = 0x1,
    WGPU_MAP_WRITE = 0x2,
    WGPU_COPY_SRC = 0x4,
    WGPU_COPY_DST = 0x8,
    WGPU_UNIFORM = 0x40,
    WGPU_STORAGE = 0x80,
    WGPU_QUERY_RESOLVE = 0x200,
    WGPU_FOR_READING = 0x1,
    WGPU_FOR_WRITING = 0x2
};

enum { /* WGPUSType and WGPUNativeSType, WGPUCallbackMode */
    WGPU_SHADER_SOURCE_WGSL = 0x2,
    WGPU_INSTANCE_EXTRAS = 0x30004,
    WGPU_ALLOW_PROCESS_EVENTS = 2,
    WGPU_ALLOW_SPONTANEOUS = 3
};

enum { /* WGPUStatus and those of requests; WGPUErrorFilter, WGPUErrorType */
    WGPU_SUCCESS = 1,
    WGPU_FILTER_VALIDATION = 1,
    WGPU_FILTER_OUT_OF_MEMORY = 2,
    WGPU_NO_ERROR = 1
};

enum { /* WGPUShaderRuntimeChecks, of wgpu-native */
    WGPU_CHECK_BOUNDS = 0x1,
    WGPU_BOUND_LOOPS = 0x2
};

enum { /* WGPUFeatureName and WGPUNativeFeature; WGPUQueryType */
    WGPU_TIMESTAMP_QUERY = 0x9,
    WGPU_SHADER_F16 = 0xb,
    WGPU_SUBGROUPS = 0x12,
    WGPU_NATIVE_SUBGROUP = 0x30021,
    WGPU_QUERY_TIMESTAMP = 2
};

enum { /* WGPUAdapterType, WGPUBackendType, WGPUInstanceBackend */
    WGPU_DISCRETE = 1,
    WGPU_INTEGRATED = 2,
    WGPU_CPU = 3,
    WGPU_D3D12 = 4,
    WGPU_METAL = 5,
    WGPU_VULKAN = 6,
    WGPU_OPENGL = 7,
    WGPU_OPENGL_ES = 8,
    WGPU_BACKENDS_PRIMARY = 0x2d,
    WGPU_BACKENDS_GL = 0x2
};

/* ---- structures ---- */

typedef struct {
    const char *data;
    size_t length;
} wgpu_string_view; /* WGPUStringView */

typedef struct wgpu_chained_struct {
    struct wgpu_chained_struct *next;
    uint32_t sType;
} wgpu_chained_struct; /* WGPUChainedStruct */

typedef struct {
    uint64_t id;
} wgpu_future; /* WGPUFuture */

typedef struct {
    wgpu_chained_struct *nextInChain;
    size_t requiredFeatureCount;
    const void *requiredFeatures;
    const void *requiredLimits;
} wgpu_instance_descriptor; /* WGPUInstanceDescriptor */

typedef struct {
    uint32_t type;
    void *data[2];
} wgpu_display_handle; /* WGPUNativeDisplayHandle */

typedef struct {
    wgpu_chained_struct chain;
    uint64_t backends;
    uint64_t flags;
    uint32_t dx12ShaderCompiler;
    uint32_t gles3MinorVersion;
    uint32_t glFenceBehaviour;
    wgpu_string_view dxcPath;
    uint32_t dxcMaxShaderModel;
    uint32_t dx12PresentationSystem;
    const uint8_t *budgetForDeviceCreation;
    const uint8_t *budgetForDeviceLoss;
    wgpu_display_handle displayHandle;
} wgpu_instance_extras; /* WGPUInstanceExtras */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view vendor;
    wgpu_string_view architecture;
    wgpu_string_view device;
    wgpu_string_view description;
    uint32_t backendType;
    uint32_t adapterType;
    uint32_t vendorID;
    uint32_t deviceID;
    uint32_t subgroupMinSize;
    uint32_t subgroupMaxSize;
} wgpu_adapter_info; /* WGPUAdapterInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t maxTextureDimension1D;
    uint32_t maxTextureDimension2D;
    uint32_t maxTextureDimension3D;
    uint32_t maxTextureArrayLayers;
    uint32_t maxBindGroups;
    uint32_t maxBindGroupsPlusVertexBuffers;
    uint32_t maxBindingsPerBindGroup;
    uint32_t maxDynamicUniformBuffersPerPipelineLayout;
    uint32_t maxDynamicStorageBuffersPerPipelineLayout;
    uint32_t maxSampledTexturesPerShaderStage;
    uint32_t maxSamplersPerShaderStage;
    uint32_t maxStorageBuffersPerShaderStage;
    uint32_t maxStorageTexturesPerShaderStage;
    uint32_t maxUniformBuffersPerShaderStage;
    uint64_t maxUniformBufferBindingSize;
    uint64_t maxStorageBufferBindingSize;
    uint32_t minUniformBufferOffsetAlignment;
    uint32_t minStorageBufferOffsetAlignment;
    uint32_t maxVertexBuffers;
    uint64_t maxBufferSize;
    uint32_t maxVertexAttributes;
    uint32_t maxVertexBufferArrayStride;
    uint32_t maxInterStageShaderVariables;
    uint32_t maxColorAttachments;
    uint32_t maxColorAttachmentBytesPerSample;
    uint32_t maxComputeWorkgroupStorageSize;
    uint32_t maxComputeInvocationsPerWorkgroup;
    uint32_t maxComputeWorkgroupSizeX;
    uint32_t maxComputeWorkgroupSizeY;
    uint32_t maxComputeWorkgroupSizeZ;
    uint32_t maxComputeWorkgroupsPerDimension;
    uint32_t maxImmediateSize;
} wgpu_limits; /* WGPULimits */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
} wgpu_queue_descriptor; /* WGPUQueueDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t mode;
    void (*callback)(const wgpu_device *device, uint32_t reason, wgpu_string_view message, void *user1, void *user2);
    void *userdata1;
    void *userdata2;
} wgpu_device_lost_callback_info; /* WGPUDeviceLostCallbackInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    void (*callback)(const wgpu_device *device, uint32_t type, wgpu_string_view message, void *user1, void *user2);
    void *userdata1;
    void *userdata2;
} wgpu_uncaptured_error_callback_info; /* WGPUUncapturedErrorCallbackInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
    size_t requiredFeatureCount;
    const uint32_t *requiredFeatures;
    const wgpu_limits *requiredLimits;
    wgpu_queue_descriptor defaultQueue;
    wgpu_device_lost_callback_info deviceLostCallbackInfo;
    wgpu_uncaptured_error_callback_info uncapturedErrorCallbackInfo;
} wgpu_device_descriptor; /* WGPUDeviceDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t mode;
    void (*callback)(uint32_t status, wgpu_device device, wgpu_string_view message, void *user1, void *user2);
    void *userdata1;
    void *userdata2;
} wgpu_request_device_callback_info; /* WGPURequestDeviceCallbackInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t mode;
    void (*callback)(uint32_t status, uint32_t type, wgpu_string_view message, void *user1, void *user2);
    void *userdata1;
    void *userdata2;
} wgpu_pop_error_scope_callback_info; /* WGPUPopErrorScopeCallbackInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t mode;
    void (*callback)(uint32_t status, wgpu_string_view message, void *user1, void *user2);
    void *userdata1;
    void *userdata2;
} wgpu_buffer_map_callback_info; /* WGPUBufferMapCallbackInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t mode;
    void (*callback)(uint32_t status, wgpu_string_view message, void *user1, void *user2);
    void *userdata1;
    void *userdata2;
} wgpu_work_done_callback_info; /* WGPUQueueWorkDoneCallbackInfo */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
    uint64_t usage;
    uint64_t size;
    uint32_t mappedAtCreation;
} wgpu_buffer_descriptor; /* WGPUBufferDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
} wgpu_shader_module_descriptor; /* WGPUShaderModuleDescriptor */

typedef struct {
    wgpu_chained_struct chain;
    wgpu_string_view code;
} wgpu_shader_source_wgsl; /* WGPUShaderSourceWGSL */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_shader_module module;
    wgpu_string_view entryPoint;
    size_t constantCount;
    const void *constants;
} wgpu_compute_state; /* WGPUComputeState */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
    wgpu_pipeline_layout layout;
    wgpu_compute_state compute;
} wgpu_compute_pipeline_descriptor; /* WGPUComputePipelineDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    uint32_t binding;
    wgpu_buffer buffer;
    uint64_t offset;
    uint64_t size;
    void *sampler;
    void *textureView;
} wgpu_bind_group_entry; /* WGPUBindGroupEntry */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
    wgpu_bind_group_layout layout;
    size_t entryCount;
    const wgpu_bind_group_entry *entries;
} wgpu_bind_group_descriptor; /* WGPUBindGroupDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
} wgpu_command_encoder_descriptor; /* WGPUCommandEncoderDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
} wgpu_command_buffer_descriptor; /* WGPUCommandBufferDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_query_set querySet;
    uint32_t beginningOfPassWriteIndex;
    uint32_t endOfPassWriteIndex;
} wgpu_pass_timestamp_writes; /* WGPUPassTimestampWrites */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
    const wgpu_pass_timestamp_writes *timestampWrites;
} wgpu_compute_pass_descriptor; /* WGPUComputePassDescriptor */

typedef struct {
    wgpu_chained_struct *nextInChain;
    wgpu_string_view label;
    uint32_t type;
    uint32_t count;
} wgpu_query_set_descriptor; /* WGPUQuerySetDescriptor */

/* ---- functions: X(result, name without "wgpu", parameters) ---- */

#define HTH_WEBGPU_FUNCTIONS(X)                                                                                        \
    X(uint32_t, GetVersion, (void))                                                                                    \
    X(wgpu_instance, CreateInstance, (const wgpu_instance_descriptor *))                                               \
    X(void, InstanceRelease, (wgpu_instance))                                                                          \
    X(void, InstanceProcessEvents, (wgpu_instance))                                                                    \
    X(size_t, InstanceEnumerateAdapters, (wgpu_instance, const wgpu_enumerate_options *, wgpu_adapter *))             \
    X(void, AdapterRelease, (wgpu_adapter))                                                                            \
    X(uint32_t, AdapterGetInfo, (wgpu_adapter, wgpu_adapter_info *))                                                   \
    X(void, AdapterInfoFreeMembers, (wgpu_adapter_info))                                                               \
    X(uint32_t, AdapterGetLimits, (wgpu_adapter, wgpu_limits *))                                                       \
    X(uint32_t, AdapterHasFeature, (wgpu_adapter, uint32_t))                                                           \
    X(wgpu_future, AdapterRequestDevice,                                                                               \
      (wgpu_adapter, const wgpu_device_descriptor *, wgpu_request_device_callback_info))                               \
    X(void, DeviceRelease, (wgpu_device))                                                                              \
    X(void, DeviceDestroy, (wgpu_device))                                                                              \
    X(wgpu_queue, DeviceGetQueue, (wgpu_device))                                                                       \
    X(void, DevicePushErrorScope, (wgpu_device, uint32_t))                                                             \
    X(wgpu_future, DevicePopErrorScope, (wgpu_device, wgpu_pop_error_scope_callback_info))                             \
    X(wgpu_buffer, DeviceCreateBuffer, (wgpu_device, const wgpu_buffer_descriptor *))                                  \
    X(wgpu_shader_module, DeviceCreateShaderModuleTrusted,                                                             \
      (wgpu_device, const wgpu_shader_module_descriptor *, uint64_t))                                                  \
    X(wgpu_compute_pipeline, DeviceCreateComputePipeline, (wgpu_device, const wgpu_compute_pipeline_descriptor *))     \
    X(wgpu_bind_group, DeviceCreateBindGroup, (wgpu_device, const wgpu_bind_group_descriptor *))                       \
    X(wgpu_command_encoder, DeviceCreateCommandEncoder, (wgpu_device, const wgpu_command_encoder_descriptor *))        \
    X(wgpu_query_set, DeviceCreateQuerySet, (wgpu_device, const wgpu_query_set_descriptor *))                          \
    X(void, QueueRelease, (wgpu_queue))                                                                                \
    X(void, QueueWriteBuffer, (wgpu_queue, wgpu_buffer, uint64_t, const void *, size_t))                               \
    X(void, QueueSubmit, (wgpu_queue, size_t, const wgpu_command_buffer *))                                            \
    X(wgpu_future, QueueOnSubmittedWorkDone, (wgpu_queue, wgpu_work_done_callback_info))                               \
    X(float, QueueGetTimestampPeriod, (wgpu_queue))                                                                    \
    X(void, BufferRelease, (wgpu_buffer))                                                                              \
    X(wgpu_future, BufferMapAsync, (wgpu_buffer, uint64_t, size_t, size_t, wgpu_buffer_map_callback_info))             \
    X(const void *, BufferGetConstMappedRange, (wgpu_buffer, size_t, size_t))                                          \
    X(void *, BufferGetMappedRange, (wgpu_buffer, size_t, size_t))                                                     \
    X(void, BufferUnmap, (wgpu_buffer))                                                                                \
    X(void, ShaderModuleRelease, (wgpu_shader_module))                                                                 \
    X(wgpu_bind_group_layout, ComputePipelineGetBindGroupLayout, (wgpu_compute_pipeline, uint32_t))                    \
    X(void, ComputePipelineRelease, (wgpu_compute_pipeline))                                                           \
    X(void, BindGroupLayoutRelease, (wgpu_bind_group_layout))                                                          \
    X(void, BindGroupRelease, (wgpu_bind_group))                                                                       \
    X(void, QuerySetRelease, (wgpu_query_set))                                                                         \
    X(wgpu_compute_pass, CommandEncoderBeginComputePass, (wgpu_command_encoder, const wgpu_compute_pass_descriptor *)) \
    X(void, CommandEncoderCopyBufferToBuffer,                                                                          \
      (wgpu_command_encoder, wgpu_buffer, uint64_t, wgpu_buffer, uint64_t, uint64_t))                                  \
    X(void, CommandEncoderClearBuffer, (wgpu_command_encoder, wgpu_buffer, uint64_t, uint64_t))                        \
    X(void, CommandEncoderResolveQuerySet,                                                                             \
      (wgpu_command_encoder, wgpu_query_set, uint32_t, uint32_t, wgpu_buffer, uint64_t))                               \
    X(wgpu_command_buffer, CommandEncoderFinish, (wgpu_command_encoder, const wgpu_command_buffer_descriptor *))       \
    X(void, CommandEncoderRelease, (wgpu_command_encoder))                                                             \
    X(void, ComputePassEncoderSetPipeline, (wgpu_compute_pass, wgpu_compute_pipeline))                                 \
    X(void, ComputePassEncoderSetBindGroup, (wgpu_compute_pass, uint32_t, wgpu_bind_group, size_t, const uint32_t *))  \
    X(void, ComputePassEncoderDispatchWorkgroups, (wgpu_compute_pass, uint32_t, uint32_t, uint32_t))                   \
    X(void, ComputePassEncoderEnd, (wgpu_compute_pass))                                                                \
    X(void, ComputePassEncoderRelease, (wgpu_compute_pass))                                                            \
    X(void, CommandBufferRelease, (wgpu_command_buffer))

#define HTH_WEBGPU_MEMBER(result, name, parameters) result(*name) parameters;

/* The functions of a library that was loaded, by their names without "wgpu". */
typedef struct {
    HTH_WEBGPU_FUNCTIONS(HTH_WEBGPU_MEMBER)
} hth_webgpu;

#endif
